import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import type { Store } from '../../src/stores/ports.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { createAttempt, expectUnavailable, findBody, replayKeyOf, sessionNameOf, TAG, until } from './attempts.ts';
import { createStoreOn, identityOf, openStoreOn, untilReady } from './redis-backend.ts';

/** What one replay record may take in Redis, in bytes. */
const RECORD_LIMIT_BYTES = 200;
/** What a session with a value of {@link SESSION_VALUE_BYTES} may take. */
const SESSION_LIMIT_BYTES = 500;
const SESSION_VALUE_BYTES = 250;

describe('a Redis with limits', () => {
  let redis: RedisProcess;
  let store: Store;
  let direct: Redis;
  const problems: string[] = [];

  before(async () => {
    redis = await startRedis();
    direct = new Redis(redis.url);
  });
  beforeEach(async () => {
    problems.length = 0;
    store = await openStoreOn(redis.url, { problems });
  });
  afterEach(async () => {
    await direct.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    await direct.flushall();
    await store.close();
  });
  after(async () => {
    direct?.disconnect();
    await redis?.stop();
  });

  for (const policy of ['allkeys-lru', 'allkeys-random', 'volatile-lru', 'volatile-ttl']) {
    test(`may evict (${policy}): every exchange is refused, health says why, and it heals without a restart`, async () => {
      const attempt = createAttempt();
      await direct.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', policy);
      const health = await store.health();
      const problem = `redis: maxmemory-policy is ${policy}, must be noeviction`;
      assert.deepEqual(health, { isReady: false, problem });
      assert.equal(await expectUnavailable(store.sessions.exchange(attempt)), problem);
      assert.deepEqual(problems, [problem], 'the operator is told once');
      await store.health();
      assert.equal(problems.length, 1);
      assert.equal(await direct.dbsize(), 0);

      await direct.config('SET', 'maxmemory-policy', 'noeviction');
      await untilReady(store);
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    });
  }

  test('may evict from the start: a store that connects refuses', async () => {
    await direct.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lfu');
    await store.close();

    store = createStoreOn(redis.url);
    let health = await store.health();
    await until(async () => {
      health = await store.health();
      return !health.isReady && health.problem.includes('policy');
    }, 'health names the policy');
    assert.match(await expectUnavailable(store.sessions.exchange(createAttempt())), /allkeys-lfu/);
  });

  test('a policy without a limit evicts nothing', async () => {
    await direct.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'allkeys-lru');
    assert.deepEqual(await store.health(), { isReady: true });
    assert.deepEqual(await store.sessions.exchange(createAttempt()), { kind: 'granted' });
  });

  test('full: refused, nothing half written, nothing forgotten; works again when there is room', async () => {
    const before = createAttempt();
    assert.deepEqual(await store.sessions.exchange(before), { kind: 'granted' });
    const used = Number(/^used_memory:(\d+)/m.exec(await direct.info('memory'))?.[1]);
    await direct.config('SET', 'maxmemory', String(Math.floor(used / 2)));
    const attempts = Array.from({ length: 20 }, () => createAttempt());
    for (const attempt of attempts) {
      assert.match(await expectUnavailable(store.sessions.exchange(attempt)), /OOM/);
    }
    assert.equal(await direct.dbsize(), 4, 'a refused exchange wrote something');
    assert.equal(await findBody(store, TAG, before.session.key), before.session.body);
    assert.equal(await store.sessions.revoke(TAG, before.session.key), true, 'a session can be ended all the same');

    await direct.config('SET', 'maxmemory', '0');
    for (const attempt of attempts) {
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
    }
    assert.deepEqual(await store.sessions.exchange(before), { kind: 'replayed' });
  });

  test('an exchange is one command, so one round trip', async () => {
    const watcher = new Redis(redis.url);
    const monitor = await watcher.monitor();
    const sent: string[] = [];
    const marker = 'end-of-the-measurement';
    await direct.hset('cs:{docs}:apps', 'cs-1', '1\n{}');
    monitor.on('monitor', (_at: string, [name = '', argument]: string[], source: string) => {
      if (source !== 'lua') sent.push(argument === marker ? marker : name.toLowerCase());
    });
    try {
      const attempt = createAttempt({ replay: { reuseWindowMs: 60_000, formerKeys: ['jti:v0:a', 'jti:v0:b'] } });
      for (let count = 0; count < 20; count++) await store.sessions.exchange(createAttempt({ app: 'cs-1' }));
      for (let count = 0; count < 5; count++) await store.sessions.exchange(attempt);
      await store.sessions.exchange(createAttempt({ replay: null }));
      const guest = createAttempt({ identity: { isKept: false } });
      const merge = { ids: ['nobody', guest.identity.id], needsProof: true, proof: sessionNameOf(guest) };
      await store.sessions.exchange(guest);
      await store.sessions.exchange(createAttempt({ identity: { merge } }));
      assert.equal(await findBody(store, TAG, guest.session.key), undefined, 'merged');
      await findBody(store, TAG, attempt.session.key);
      await store.sessions.revoke(TAG, attempt.session.key);
      await direct.echo(marker);
      await until(() => sent.includes(marker), 'the monitor has caught up');
      // The watch of documents and the offset to the server's clock take their turns on timers of their own.
      const commands = sent.slice(0, sent.indexOf(marker)).filter((name) => !['time', 'hget', 'info'].includes(name));
      assert.deepEqual(
        commands,
        Array.from({ length: 31 }, () => 'evalsha'),
      );
    } finally {
      monitor.disconnect();
      watcher.disconnect();
    }
  });

  test('a record and a session are small, and both end by themselves', async (t) => {
    const attempt = createAttempt({
      body: 'x'.repeat(SESSION_VALUE_BYTES),
      sessionMs: 60_000,
      replay: { expiresInMs: 30_000 },
    });
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    const record = `cs:{${TAG}}:${replayKeyOf(attempt)}`;
    const session = `cs:{${TAG}}:ses:${attempt.session.key}`;
    const [recordBytes, sessionBytes] = [await direct.memory('USAGE', record), await direct.memory('USAGE', session)];
    t.diagnostic(
      `a replay record takes ${recordBytes} B, a session with a value of ${SESSION_VALUE_BYTES} B ${sessionBytes} B`,
    );
    assert.ok(recordBytes !== null && recordBytes <= RECORD_LIMIT_BYTES, `${recordBytes} B`);
    assert.ok(sessionBytes !== null && sessionBytes <= SESSION_LIMIT_BYTES, `${sessionBytes} B`);
    const [recordMs, sessionMs] = [await direct.pttl(record), await direct.pttl(session)];
    assert.ok(recordMs > 20_000 && recordMs <= 30_000, `${recordMs} ms`);
    assert.ok(sessionMs > 50_000 && sessionMs <= 60_000, `${sessionMs} ms`);
    assert.equal(await direct.exists(identityOf(attempt), 'cs:idns:cs-1'), 2);
    assert.equal(await direct.dbsize(), 4, 'an exchange leaves more than a record, a session, a user and their place');
  });

  test('reuse does not lengthen the life of a record', async () => {
    const attempt = createAttempt({ replay: { expiresInMs: 30_000, reuseWindowMs: 60_000 } });
    await store.sessions.exchange(attempt);
    assert.equal((await store.sessions.exchange(attempt)).kind, 'reused');
    assert.equal((await store.sessions.exchange(attempt)).kind, 'reused');
    const lifeMs = await direct.pttl(`cs:{${TAG}}:${replayKeyOf(attempt)}`);
    assert.ok(lifeMs > 20_000 && lifeMs <= 30_000, `${lifeMs} ms`);
  });
});
