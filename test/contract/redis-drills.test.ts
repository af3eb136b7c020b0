import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Redis } from 'ioredis';

import { AppError } from '../../src/core/errors.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Secret } from '../../src/core/secret.ts';
import type { ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { createRedisConnection } from '../../src/stores/redis-connection.ts';
import { toExchangeArguments, toExchangeKeys } from '../../src/stores/redis-exchange-arguments.ts';
import { EXCHANGE } from '../../src/stores/redis-session-scripts.ts';
import { startRedis, type RedisProcess } from '../support/processes.ts';
import { createAttempt, expectUnavailable, findBody, TAG, until } from './attempts.ts';
import {
  createStoreOn,
  expectOneGrant,
  identityOf,
  keysOf,
  openStoreOn,
  recordOf,
  sessionOf,
  untilReady,
} from './redis-backend.ts';

describe('a Redis that fails', () => {
  let redis: RedisProcess;
  let store: Store;
  let direct: Redis;

  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
  });
  beforeEach(async () => {
    direct = new Redis(redis.url);
    direct.on('error', () => undefined);
    store = await openStoreOn(redis.url);
  });
  afterEach(async () => {
    await store.close();
    direct.disconnect();
  });
  after(async () => {
    await redis?.stop();
  });

  test('paused: refused in under a second; what it had queued it then refuses as late', async () => {
    const attempt = createAttempt();
    redis.pause();
    try {
      const startedAtMs = performance.now();
      await expectUnavailable(store.sessions.exchange(attempt));
      assert.ok(performance.now() - startedAtMs < 1_000, `${performance.now() - startedAtMs} ms`);
      const againAtMs = performance.now();
      assert.match(await expectUnavailable(store.sessions.exchange(attempt)), /stopped answering/);
      assert.ok(performance.now() - againAtMs < 100, 'a server that is known to hang costs no waiting');
    } finally {
      redis.resume();
    }
    assert.equal(await direct.exists(...keysOf(attempt)), 0, 'the queued script wrote');
    await untilReady(store);
    await expectOneGrant(store, attempt);
  });

  test('paused while the only instance that could undo goes away: the queued attempt is refused as late', async () => {
    const leaving = await openStoreOn(redis.url);
    const attempt = createAttempt();
    redis.pause();
    try {
      await expectUnavailable(leaving.sessions.exchange(attempt));
      await leaving.close();
    } finally {
      redis.resume();
    }
    const next = await openStoreOn(redis.url);
    try {
      await expectOneGrant(next, attempt);
    } finally {
      await next.close();
    }
  });

  test('paused for longer than a connection is kept: the next one works', async () => {
    const attempt = createAttempt();
    redis.pause();
    try {
      await expectUnavailable(store.sessions.exchange(attempt));
      const since = performance.now();
      await until(() => performance.now() - since > 3_100, 'the stalled connection is given up');
      await expectUnavailable(store.sessions.exchange(attempt));
    } finally {
      redis.resume();
    }
    await untilReady(store);
    await expectOneGrant(store, attempt);
  });

  test('killed under load: no acknowledged grant is forgotten, no unacknowledged attempt is lost', async (t) => {
    const granted: ExchangeAttempt[] = [];
    const refused: ExchangeAttempt[] = [];
    let isDown = false;
    const run = async (): Promise<void> => {
      while (!isDown) {
        const attempt = createAttempt();
        try {
          assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
          granted.push(attempt);
        } catch (error) {
          assert.ok(error instanceof AppError && error.code === 'store_unavailable', String(error));
          refused.push(attempt);
          isDown = true;
        }
      }
    };
    const load = Promise.all(Array.from({ length: 64 }, run));
    await until(() => granted.length > 500, 'the load is on');
    await redis.kill();
    await load;
    await redis.restart();
    await untilReady(store);
    t.diagnostic(`${granted.length} acknowledged, ${refused.length} in flight when the server was killed`);
    assert.ok(refused.length > 1, 'nothing was in flight');
    for (const attempt of granted) {
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
      assert.equal(await findBody(store, TAG, attempt.session.key), attempt.session.body);
    }
    for (const attempt of refused) await expectOneGrant(store, attempt);
  });

  test('absent at the start: refused at once, and served when it comes, without another start', async () => {
    await redis.kill();
    const problems: string[] = [];
    const early = createStoreOn(redis.url, { problems });
    try {
      const attempt = createAttempt();
      const seen: string[] = [];
      const stop = early.documents.watch('apps', () => seen.push('apps'));
      assert.match(await expectUnavailable(early.sessions.exchange(attempt)), /not connected/);
      await expectUnavailable(early.documents.list('apps'));
      assert.equal((await early.health()).isReady, false);
      await until(() => problems.length > 0, 'the operator is told');
      await redis.restart();
      await untilReady(early);
      await expectOneGrant(early, attempt);
      await until(() => seen.length > 0, 'a watch that began without the server looks once it is there');
      stop();
    } finally {
      await early.close();
    }
  });

  test('its scripts flushed: nobody is refused', async () => {
    const attempt = createAttempt();
    const { key } = attempt.session;
    await direct.script('FLUSH');
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    await direct.script('FLUSH');
    const found = await Promise.all(Array.from({ length: 20 }, () => findBody(store, TAG, key)));
    assert.deepEqual(found, Array(20).fill(attempt.session.body));
    await direct.script('FLUSH');
    assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
    assert.equal(await store.sessions.revoke(TAG, key), true);
    await expectOneGrant(store, createAttempt());
  });

  test("an exchange past its deadline on the server's own clock writes nothing", async () => {
    const connection = createRedisConnection(new Secret(redis.url), systemClock, () => undefined);
    try {
      await until(() => connection.isUsable(), 'connected');
      const attempt = createAttempt();
      const keys = [sessionOf(attempt), recordOf(attempt), identityOf(attempt)];
      const [seconds] = await direct.time();
      const serverMs = Number(seconds) * 1000;
      const run = (deadlineMs: number): Promise<unknown> =>
        connection.runScript(
          EXCHANGE,
          toExchangeKeys(attempt),
          toExchangeArguments(attempt, deadlineMs, { id: 'a', mark: '1' }),
        );
      assert.deepEqual(await run(serverMs - 1), 'late');
      assert.equal(await direct.exists(...keys), 0);
      assert.ok(Math.abs(connection.deadlineMs() - serverMs - 800) < 2_000, 'the offset to the server is not learnt');
      assert.deepEqual(await run(serverMs + 60_000), 'granted');
      assert.equal(await direct.exists(...keys), 3);
    } finally {
      await connection.close();
    }
  });

  test("a small step of this machine's wall clock changes nothing, a large one refuses until it is put right", async (t) => {
    const now = Date.now();
    t.mock.timers.enable({ apis: ['Date'], now });
    await expectOneGrant(store, createAttempt());
    t.mock.timers.setTime(now + 30_000);
    await expectOneGrant(store, createAttempt());
    t.mock.timers.setTime(Date.UTC(2100, 0));
    assert.match(await expectUnavailable(store.sessions.exchange(createAttempt())), /the clock here is/);
    t.mock.timers.setTime(now);
    await expectOneGrant(store, createAttempt());
  });
});
