import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import { startRedis, type RedisProcess } from '../support/processes.ts';
import { startSwallowingProxy } from '../support/swallowing-proxy.ts';
import { createAttempt, expectUnavailable, findBody, replayKeyOf, TAG, until } from './attempts.ts';
import { openStoreOn, untilReady } from './redis-backend.ts';

const startReplica = (of: RedisProcess): Promise<RedisProcess> =>
  startRedis({ args: ['--replicaof', '127.0.0.1', String(of.port), '--repl-diskless-sync-delay', '0'] });

/** Waits until that many replicas acknowledge what is written. */
async function untilReplicated(primary: Redis, count: number): Promise<void> {
  await until(async () => {
    await primary.set('probe', 'x');
    return (await primary.wait(count + 1, 50)) === count;
  }, `${count} replicas`);
}

describe('a Redis with replicas', () => {
  let redis: RedisProcess;
  let direct: Redis;

  before(async () => {
    redis = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
  });
  after(async () => {
    direct?.disconnect();
    await redis?.stop();
  });

  test('one asked for and none there: refused, taken back, and granted when one has come', async () => {
    const store = await openStoreOn(redis.url, { waitReplicas: 1 });
    let replica: RedisProcess | undefined;
    try {
      const attempt = createAttempt();
      const startedAtMs = performance.now();
      assert.match(await expectUnavailable(store.sessions.exchange(attempt)), /0 of 1 replicas/);
      assert.ok(performance.now() - startedAtMs < 1_000);
      const record = `cs:{${TAG}}:${replayKeyOf(attempt)}`;
      await until(async () => (await direct.exists(record)) === 0, 'the attempt is undone');
      assert.match(await expectUnavailable(store.sessions.exchange(attempt)), /0 of 1 replicas/);
      assert.match(store.description, /on 1 replicas before a grant/);

      replica = await startReplica(redis);
      await untilReplicated(direct, 1);
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });

      const last = Array.from({ length: 50 }, () => store.sessions.exchange(createAttempt()));
      await store.close();
      for (const outcome of await Promise.all(last)) assert.deepEqual(outcome, { kind: 'granted' });
    } finally {
      await store.close();
      await replica?.stop();
    }
  });

  test('one asked for and none there: a replay is still called a replay, a live session still found', async () => {
    const attempt = createAttempt();
    const lax = await openStoreOn(redis.url);
    const strict = await openStoreOn(redis.url, { waitReplicas: 1 });
    try {
      await untilReplicated(direct, 0);
      assert.deepEqual(await lax.sessions.exchange(attempt), { kind: 'granted' });
      assert.deepEqual(await strict.sessions.exchange(attempt), { kind: 'replayed' });
      assert.equal(await findBody(strict, TAG, attempt.session.key), attempt.session.body);
    } finally {
      await lax.close();
      await strict.close();
    }
  });

  test('one asked for and none there: a burst is refused in time, and sessions are found meanwhile', async () => {
    const store = await openStoreOn(redis.url, { waitReplicas: 1 });
    const lax = await openStoreOn(redis.url);
    try {
      const live = createAttempt();
      await lax.sessions.exchange(live);
      const attempts = Array.from({ length: 100 }, () => createAttempt());
      const startedAtMs = performance.now();
      const refusals = attempts.map((attempt) => expectUnavailable(store.sessions.exchange(attempt)));
      assert.equal(await findBody(store, TAG, live.session.key), live.session.body);
      // On a busy machine some are refused for the time that they took.
      for (const detail of await Promise.all(refusals)) assert.match(detail, /0 of 1 replicas|did not answer within/);
      assert.equal(await findBody(store, TAG, live.session.key), live.session.body);
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < 2_000, `${tookMs} ms: one waited behind the other`);
      for (const attempt of attempts) {
        await until(async () => (await lax.sessions.exchange(attempt)).kind === 'granted', 'the attempt is undone');
      }
    } finally {
      await store.close();
      await lax.close();
    }
  });

  test('one asked for and none there: closing at once still takes back what was refused', async () => {
    const store = await openStoreOn(redis.url, { waitReplicas: 1 });
    const attempts = Array.from({ length: 20 }, () => createAttempt());
    const refusals = attempts.map((attempt) => expectUnavailable(store.sessions.exchange(attempt)));
    await store.close();
    await Promise.all(refusals);
    const lax = await openStoreOn(redis.url);
    try {
      for (const attempt of attempts) assert.deepEqual(await lax.sessions.exchange(attempt), { kind: 'granted' });
    } finally {
      await lax.close();
    }
  });

  test('fail-over to a replica that the grant waited for: the same store refuses every replay', async (t) => {
    const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
    const replica = await startReplica(primary);
    const proxy = await startSwallowingProxy(primary.port);
    const watcher = new Redis(primary.url);
    watcher.on('error', () => undefined);
    const store = await openStoreOn(`redis://127.0.0.1:${proxy.port}`, { waitReplicas: 1 });
    const promoted = new Redis(replica.url);
    try {
      await untilReplicated(watcher, 1);
      const attempts = Array.from({ length: 200 }, () => createAttempt());
      const startedAtMs = performance.now();
      const outcomes = await Promise.all(attempts.map((attempt) => store.sessions.exchange(attempt)));
      t.diagnostic(
        `200 exchanges at once, each waiting for a replica: ${Math.round(performance.now() - startedAtMs)} ms`,
      );
      assert.ok(outcomes.every(({ kind }) => kind === 'granted'));

      await primary.kill();
      await promoted.replicaof('NO', 'ONE');
      proxy.turnTo(replica.port);
      await untilReady(store);
      const after = await openStoreOn(replica.url);
      for (const attempt of attempts) {
        assert.deepEqual(await after.sessions.exchange(attempt), { kind: 'replayed' });
        assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
        assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
      }
      await after.close();
      await expectUnavailable(store.sessions.exchange(createAttempt()));
    } finally {
      promoted.disconnect();
      watcher.disconnect();
      await store.close();
      await proxy.stop();
      await replica.stop();
      await primary.stop();
    }
  });

  test('the old primary becomes read-only: refused until it is turned to the new one', async () => {
    const store = await openStoreOn(redis.url);
    const other = await startRedis();
    try {
      const attempt = createAttempt();
      await direct.replicaof('127.0.0.1', other.port);
      await expectUnavailable(store.sessions.exchange(attempt));
      await direct.replicaof('NO', 'ONE');
      await untilReady(store);
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    } finally {
      await direct.replicaof('NO', 'ONE');
      await store.close();
      await other.stop();
    }
  });

  test('fail-over to an empty server: nothing is granted for apps that went with the records', async () => {
    const empty = await startRedis();
    const proxy = await startSwallowingProxy(redis.port);
    const store = await openStoreOn(`redis://127.0.0.1:${proxy.port}`);
    try {
      await store.documents.insert('apps', 'cs-1', '{}');
      const attempts = Array.from({ length: 20 }, () => createAttempt({ app: 'cs-1' }));
      for (const attempt of attempts) assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      let changes = 0;
      const stop = store.documents.watch('apps', () => changes++);
      await until(() => changes > 0, 'the watch has begun');
      const before = changes;
      proxy.turnTo(empty.port);
      await untilReady(store);
      for (const attempt of [...attempts, createAttempt({ app: 'cs-1' })])
        assert.match(await expectUnavailable(store.sessions.exchange(attempt)), /does not hold the app/);
      await until(() => changes > before, 'whoever has a copy of the apps is told');
      assert.deepEqual(await store.documents.list('apps'), []);
      stop();
      await store.documents.insert('apps', 'cs-2', '{}');
      assert.deepEqual(await store.sessions.exchange(createAttempt({ app: 'cs-2' })), { kind: 'granted' });
    } finally {
      await store.close();
      await proxy.stop();
      await empty.stop();
    }
  });
});
