import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import { startRedis, type RedisProcess } from '../support/processes.ts';
import { expectUnavailable, randomKey } from './attempts.ts';
import { openStoreOn, untilReady } from './redis-backend.ts';

const LONG_MS = 60_000;

describe('claims and the audit trail on a Redis that cannot be relied on', () => {
  let redis: RedisProcess;
  let direct: Redis;

  before(async () => {
    redis = await startRedis();
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
  });
  after(async () => {
    direct?.disconnect();
    await redis?.stop();
  });

  test('one that may evict: no name is given away, and it heals without a restart', async () => {
    const store = await openStoreOn(redis.url);
    try {
      const key = randomKey();
      await direct.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
      assert.equal((await store.health()).isReady, false);
      assert.match(await expectUnavailable(store.claims.claim(key, LONG_MS)), /must be noeviction/);
      await direct.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
      await untilReady(store);
      assert.equal(await store.claims.claim(key, LONG_MS), true);
    } finally {
      await store.close();
    }
  });

  test('one without the replicas that are asked for: nothing is acknowledged', async () => {
    const store = await openStoreOn(redis.url, { waitReplicas: 1 });
    try {
      assert.match(await expectUnavailable(store.claims.claim(randomKey(), LONG_MS)), /0 of 1 replicas/);
      assert.match(await expectUnavailable(store.audit.append('{}')), /0 of 1 replicas/);
    } finally {
      await store.close();
    }
  });

  test('one that stands still: refused in time, and whoever asks again is told the truth', async () => {
    const store = await openStoreOn(redis.url);
    try {
      const key = randomKey();
      redis.pause();
      const startedAtMs = performance.now();
      await expectUnavailable(store.claims.claim(key, LONG_MS));
      await expectUnavailable(store.audit.append('{}'));
      assert.ok(performance.now() - startedAtMs < 2_000);
      redis.resume();
      await untilReady(store);
      // The command ran late, for nobody: a name is never given away twice.
      assert.equal(await store.claims.claim(key, LONG_MS), false);
    } finally {
      redis.resume();
      await store.close();
    }
  });

  test('a line has no end, and a name has one', async () => {
    const store = await openStoreOn(redis.url);
    try {
      await direct.flushall();
      await store.audit.append('{}');
      await store.claims.claim('a', LONG_MS);
      assert.deepEqual((await direct.keys('*')).toSorted(), ['cs:audit', 'cs:clm:a']);
      assert.equal(await direct.ttl('cs:audit'), -1);
      const left = await direct.pttl('cs:clm:a');
      assert.ok(left > 0 && left <= LONG_MS);
    } finally {
      await store.close();
    }
  });
});
