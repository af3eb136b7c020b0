import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import type { Store } from '../../src/stores/ports.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { startSwallowingProxy, type SwallowingProxy } from '../support/swallowing-proxy.ts';
import { createAttempt, expectUnavailable, findBody, TAG, until, withOtherSession } from './attempts.ts';
import { createStoreOn, expectOneGrant, openStoreOn, recordOf, sessionOf, untilReady } from './redis-backend.ts';

describe('a network that loses what Redis answers', () => {
  let redis: RedisProcess;
  let proxy: SwallowingProxy;
  let direct: Redis;
  /** Another instance, whose network is sound. */
  let store: Store;

  before(async () => {
    redis = await startRedis();
    proxy = await startSwallowingProxy(redis.port);
    direct = new Redis(redis.url);
  });
  beforeEach(async () => {
    store = await openStoreOn(redis.url);
  });
  afterEach(() => store.close());
  after(async () => {
    direct?.disconnect();
    await proxy?.stop();
    await redis?.stop();
  });
  /** How often the server has set a key; an exchange that is granted sets two. */
  const countSets = async (): Promise<number> =>
    Number(/^cmdstat_set:calls=(\d+)/m.exec(await direct.info('commandstats'))?.[1] ?? 0);

  test('executed but never answered: refused in under a second, undone on the next connection', async () => {
    const behind = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
    try {
      const attempt = createAttempt({ replay: { reuseWindowMs: 60_000 } });
      proxy.swallowAfter(0);
      const startedAtMs = performance.now();
      await expectUnavailable(behind.sessions.exchange(attempt));
      assert.ok(performance.now() - startedAtMs < 1_000);
      assert.ok(proxy.swallowedBytes() > 0);
      assert.equal(await direct.exists(recordOf(attempt), sessionOf(attempt)), 2, 'the server did not execute it');
      proxy.heal();
      await untilReady(behind);
      assert.equal(await direct.exists(recordOf(attempt), sessionOf(attempt)), 0, 'it was not undone');
      await expectOneGrant(behind, createAttempt());
      assert.deepEqual(await behind.sessions.exchange(attempt), { kind: 'granted' });
      assert.deepEqual(await behind.sessions.exchange(attempt), { kind: 'reused', body: attempt.session.body });
    } finally {
      await behind.close();
    }
  });

  test('executed but never answered, then had again from another instance: that session is not undone', async () => {
    const behind = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
    try {
      const attempt = createAttempt({ replay: { reuseWindowMs: 60_000 } });
      proxy.swallowAfter(0);
      await expectUnavailable(behind.sessions.exchange(attempt));
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'reused', body: attempt.session.body });
      proxy.heal();
      await untilReady(behind);
      assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      assert.deepEqual(await behind.sessions.exchange(withOtherSession(attempt)), { kind: 'replayed' });
    } finally {
      await behind.close();
    }
  });

  test('an attempt that the network delivers after it was undone is undone again', async () => {
    const behind = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
    try {
      const attempt = createAttempt();
      proxy.holdRequests();
      const refused = expectUnavailable(behind.sessions.exchange(attempt));
      await until(() => proxy.heldBytes() > 0, 'the attempt is under way');
      proxy.cutClients();
      await refused;
      await untilReady(behind);
      const before = await countSets();
      proxy.releaseRequests();
      await until(async () => (await countSets()) > before, 'the attempt is executed after all');
      await until(async () => (await direct.exists(recordOf(attempt), sessionOf(attempt))) === 0, 'it is undone again');
      await expectOneGrant(behind, attempt);
    } finally {
      proxy.heal();
      await behind.close();
    }
  });

  test('answers that are lost in the middle of a burst: each attempt was granted, or can be made once more', async () => {
    const behind = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
    try {
      const attempts = Array.from({ length: 200 }, () => createAttempt());
      proxy.swallowAfter(1_001);
      const outcomes = await Promise.allSettled(attempts.map((attempt) => behind.sessions.exchange(attempt)));
      const granted = outcomes.filter(({ status }) => status === 'fulfilled').length;
      assert.ok(granted > 0 && granted < attempts.length, `${granted} granted: no answer was lost, or all`);
      proxy.heal();
      await untilReady(behind);
      for (const [index, attempt] of attempts.entries()) {
        if (outcomes[index]?.status === 'rejected') await expectOneGrant(behind, attempt);
        else assert.deepEqual(await behind.sessions.exchange(attempt), { kind: 'replayed' });
      }
    } finally {
      await behind.close();
    }
  });

  test('connections that are taken and never answered are given up', async () => {
    proxy.swallowAfter(0);
    const problems: string[] = [];
    const behind = createStoreOn(`redis://127.0.0.1:${proxy.port}`, { problems });
    try {
      await until(() => problems.some((one) => one.includes('not answered in time')), 'the connection is given up');
      await expectUnavailable(behind.sessions.exchange(createAttempt()));
      proxy.swallowAfter(Infinity);
      await untilReady(behind);
      await expectOneGrant(behind, createAttempt());
    } finally {
      proxy.heal();
      await behind.close();
    }
  });
});
