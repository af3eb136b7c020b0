import assert from 'node:assert/strict';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { DatabaseSync } from '@photostructure/sqlite';

import { systemClock } from '../../src/core/clock.ts';
import { Secret } from '../../src/core/secret.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createSweepPace, SETTLED_MS } from '../../src/stores/embedded-sweep-pace.ts';
import { MAX_CLOCK_SKEW_MS } from '../../src/stores/ports.ts';
import { createRedisStore } from '../../src/stores/redis.ts';
import { waitUntilReady } from '../../src/stores/wait-until-ready.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createTempFolder, startRedis } from '../support/processes.ts';
import { createAttempt, until } from './attempts.ts';

const START_AT = 1_767_225_600;
const HOUR = 3_600;

describe('clocks that are set', () => {
  test('embedded: a clock that is an hour ahead for a while makes no sweep forget', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const folder = await createTempFolder();
    const clock = createFakeClock(START_AT);
    let elapsedMs = 0;
    const store = createEmbeddedStore({ path: join(folder, 'test.db'), clock, monotonicMs: () => elapsedMs });
    try {
      const attempt = createAttempt({ replay: { expiresInMs: 300_000 } });
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
      clock.set(START_AT + HOUR);
      t.mock.timers.tick(10_000);
      // A write behind the sweep: the sweep is done when it is.
      await store.sessions.exchange(createAttempt());
      clock.set(START_AT + 1);
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'replayed' });
      // Once the clock has stood there for longer than any record lives, the record goes.
      elapsedMs = SETTLED_MS;
      clock.set(START_AT + 2 * HOUR);
      t.mock.timers.tick(10_000);
      await store.sessions.exchange(createAttempt());
      clock.set(START_AT + 2);
      assert.deepEqual(await store.sessions.exchange(attempt), { kind: 'granted' });
    } finally {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('embedded: deleting follows the time that goes by, over restarts and clocks that are put right', () => {
    let elapsedMs = 0;
    let now = 5_000_000_000;
    const pace = createSweepPace(
      () => now,
      () => elapsedMs,
    );
    const go = (ms: number): number => {
      elapsedMs += ms;
      now += ms;
      return pace();
    };
    assert.equal(go(10_000), 0, 'a process that has just started believes no clock');
    assert.equal(go(SETTLED_MS), now, 'one that stood still is believed');
    assert.equal(go(10_000), now);
    now += HOUR * 24_000;
    assert.equal(go(10_000), now - HOUR * 24_000, 'one that jumps ahead is not');
    assert.equal(go(SETTLED_MS), now, 'until it has stayed there');
    now -= HOUR * 1000;
    assert.equal(go(10_000), now, 'one that jumps back deletes less');
  });

  test('embedded: a sweep goes on until nothing is left, however much came in', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const folder = await createTempFolder();
    const path = join(folder, 'test.db');
    const clock = createFakeClock(START_AT);
    let elapsedMs = 0;
    const store = createEmbeddedStore({ path, clock, monotonicMs: () => elapsedMs });
    const db = new DatabaseSync(path);
    const count = (table: string): number =>
      (db.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { count: number }).count;
    try {
      const attempts = Array.from({ length: 3_500 }, () =>
        createAttempt({ sessionMs: 1_000, replay: { expiresInMs: 1_000 } }),
      );
      await Promise.all(attempts.map((attempt) => store.sessions.exchange(attempt)));
      assert.equal(count('records'), 2 * attempts.length);
      elapsedMs = SETTLED_MS;
      clock.set(START_AT + 2 * HOUR);
      t.mock.timers.tick(10_000);
      await until(() => count('records') === 0, 'all replays and sessions are swept');
    } finally {
      db.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('embedded: the database can be read by its owner alone', async () => {
    const folder = await createTempFolder();
    const path = join(folder, 'test.db');
    const store = createEmbeddedStore({ path, clock: systemClock });
    try {
      await store.sessions.exchange(createAttempt());
      for (const name of [path, `${path}-wal`, `${path}-shm`])
        assert.equal((await stat(name)).mode & 0o777, 0o600, name);
    } finally {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  const LIMIT_SECONDS = MAX_CLOCK_SKEW_MS / 1000;
  const SKEWS: Readonly<Record<string, { seconds: number; isRefused: boolean }>> = {
    'a little ahead': { seconds: LIMIT_SECONDS - 5, isRefused: false },
    'a little behind': { seconds: 5 - LIMIT_SECONDS, isRefused: false },
    'too far ahead': { seconds: LIMIT_SECONDS + 5, isRefused: true },
    'an hour behind': { seconds: -HOUR, isRefused: true },
  };
  for (const [what, { seconds, isRefused }] of Object.entries(SKEWS)) {
    test(`redis: a clock that is ${what} is ${isRefused ? 'refused, until it is set right' : 'taken'}`, async () => {
      const redis = await startRedis();
      let offset = seconds;
      const clock = { ...systemClock, nowSeconds: () => systemClock.nowSeconds() + offset };
      const problems: string[] = [];
      const store = createRedisStore({
        url: new Secret(redis.url),
        waitReplicas: 0,
        onProblem: (detail) => problems.push(detail),
        clock,
      });
      try {
        if (isRefused) {
          await assert.rejects(waitUntilReady(store, 300), /the clock here is -?\d+ s ahead of redis'/);
          await assert.rejects(store.sessions.exchange(createAttempt()), /store_unavailable: redis: the clock/);
          offset = 0;
        }
        await waitUntilReady(store, 5_000);
        // At once, without waiting for the next look at the server.
        offset = -HOUR;
        await assert.rejects(store.sessions.exchange(createAttempt()), /store_unavailable: redis: the clock/);
        offset = 0;
        await waitUntilReady(store, 5_000);
        assert.deepEqual(await store.sessions.exchange(createAttempt()), { kind: 'granted' });
      } finally {
        await store.close();
        await redis.stop();
      }
    });
  }
});
