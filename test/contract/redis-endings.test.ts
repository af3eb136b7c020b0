import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import type { Store } from '../../src/stores/ports.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { startSwallowingProxy } from '../support/swallowing-proxy.ts';
import { createAttempt, until } from './attempts.ts';
import { openStoreOn, untilReady } from './redis-backend.ts';

/** Ends an identity. @returns its id */
async function endOne(store: Store): Promise<string> {
  const { identity } = createAttempt();
  await store.identities.create(identity);
  assert.equal(await store.identities.remove(identity.id), true);
  return identity.id;
}

/** What a store tells its watcher. */
function listen(store: Store): { ids: Set<string>; gaps: () => number } {
  const ids = new Set<string>();
  let gaps = 0;
  store.endings.watch({ onEnding: ({ id }) => ids.add(id), onGap: () => void gaps++ });
  return { ids, gaps: () => gaps };
}

describe('publications of Redis that do not arrive', () => {
  let redis: RedisProcess;
  let direct: Redis;
  /** Another instance, which ends things. */
  let other: Store;

  before(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
    other = await openStoreOn(redis.url);
  });
  afterEach(async () => {
    await other.close();
    direct.disconnect();
  });
  after(async () => {
    await redis?.stop();
  });

  const untilHeard = async (watched: ReturnType<typeof listen>): Promise<void> => {
    const ids: string[] = [];
    await until(async () => {
      ids.push(await endOne(other));
      return ids.some((id) => watched.ids.has(id));
    }, 'endings are told');
  };

  test("the subscriber's connection is cut: a gap is told, and endings are told again", async () => {
    const store = await openStoreOn(redis.url);
    try {
      const watched = listen(store);
      await untilHeard(watched);
      const before = watched.gaps();
      await direct.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until(() => watched.gaps() > before, 'the gap is told');
      await untilHeard(watched);
      const id = await endOne(other);
      await until(() => watched.ids.has(id), 'every ending is told');
    } finally {
      await store.close();
    }
  });

  test('the server is started again: a gap is told, and endings are told again', async () => {
    const store = await openStoreOn(redis.url);
    try {
      const watched = listen(store);
      await untilHeard(watched);
      const before = watched.gaps();
      await redis.kill();
      await redis.restart();
      await until(() => watched.gaps() > before, 'the gap is told');
      await untilReady(store);
      await untilReady(other);
      await untilHeard(watched);
    } finally {
      await store.close();
    }
  });

  test('a line that falls silent without being cut is given up: a gap is told, and endings are told again', async () => {
    const proxy = await startSwallowingProxy(redis.port);
    const problems: string[] = [];
    const store = await openStoreOn(`redis://127.0.0.1:${proxy.port}`, { problems });
    const countGivenUp = (): number => problems.filter((one) => one.startsWith('redis subscriber: the server')).length;
    try {
      const watched = listen(store);
      await untilHeard(watched);
      const before = watched.gaps();
      proxy.swallowAfter(0);
      const id = await endOne(other);
      await until(() => countGivenUp() > 0, 'the line is given up');
      assert.equal(watched.ids.has(id), false, 'the line was not silent');
      await until(() => countGivenUp() > 1, 'the new one, on which nobody answers either, is given up, too', 20_000);
      proxy.swallowAfter(Infinity);
      await until(() => watched.gaps() > before, 'the gap is told', 20_000);
      await untilHeard(watched);
    } finally {
      await store.close();
      await proxy.stop();
    }
  });

  test('a watcher that was ended is told of no gap', async () => {
    const store = await openStoreOn(redis.url);
    try {
      let gaps = 0;
      const end = store.endings.watch({ onEnding: () => undefined, onGap: () => void gaps++ });
      const watched = listen(store);
      await untilHeard(watched);
      end();
      const [mine, others] = [gaps, watched.gaps()];
      await direct.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until(() => watched.gaps() > others, 'the other is told');
      assert.equal(gaps, mine);
    } finally {
      await store.close();
    }
  });
});
