import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import type { Store } from '../../src/stores/ports.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { expectUnavailable, until } from './attempts.ts';
import { openStoreOn, untilReady } from './redis-backend.ts';

const LONG_MS = 60_000;

describe('presence in a Redis that forgets and fails', () => {
  let redis: RedisProcess;
  let store: Store;
  let direct: Redis;

  before(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
    await direct.flushall();
    store = await openStoreOn(redis.url);
  });
  afterEach(async () => {
    await store.close();
    direct.disconnect();
  });
  after(async () => {
    await redis?.stop();
  });

  test('a server that was started again empty knows nothing, says so, and learns it by the next announcement', async () => {
    await store.presence.announce('gateway:a', 'body', LONG_MS);
    let told = 0;
    store.presence.watch(() => void told++);
    await redis.kill();
    await expectUnavailable(store.presence.announce('gateway:a', 'body', LONG_MS));
    await expectUnavailable(store.presence.withdraw('gateway:a'));
    await expectUnavailable(store.presence.list('gateway:'));
    told = 0;
    await redis.restart();
    await untilReady(store);
    await until(() => told > 0, 'the gap is told');
    assert.deepEqual(await store.presence.list('gateway:'), []);
    told = 0;
    await store.presence.announce('gateway:a', 'body', LONG_MS);
    assert.deepEqual(await store.presence.list('gateway:'), [{ owner: 'gateway:a', body: 'body' }]);
    await until(() => told > 0, 'the body is told, although the owner had said it before');
  });

  test('an owner whose time is over leaves nothing', async () => {
    await store.presence.announce('seen:a', 'body', 50);
    await store.presence.announce('seen:b', 'body', LONG_MS);
    await until(async () => (await store.presence.list('seen:')).length === 1, 'the time is over');
    assert.deepEqual((await direct.keys('cs:{presence}*')).toSorted(), ['cs:{presence}', 'cs:{presence}:seen:b']);
    assert.deepEqual(await direct.zrange('cs:{presence}', '0', '-1'), ['seen:b']);
  });

  test('an owner that the index has lost is there again after its next announcement', async () => {
    await store.presence.announce('gateway:a', 'body', LONG_MS);
    await direct.del('cs:{presence}');
    assert.deepEqual(await store.presence.list('gateway:'), []);
    await store.presence.announce('gateway:a', 'body', LONG_MS);
    assert.equal((await store.presence.list('gateway:')).length, 1);
  });
});
