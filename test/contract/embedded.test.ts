import assert from 'node:assert/strict';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createTempFolder } from '../support/processes.ts';
import { createAttempt, findBody, TAG } from './attempts.ts';
import { describeStore } from './store-contract.ts';
import type { Clock } from '../../src/core/clock.ts';

/** A clock that stands still until a test moves it. */
function createTestClock(): Clock & { passMs: (ms: number) => void } {
  let nowMs = 1_700_000_000_000;
  const nowSeconds = (): number => nowMs / 1000;
  return { nowSeconds, elapsedSeconds: nowSeconds, passMs: (ms) => void (nowMs += ms) };
}

describeStore('SQLite', async () => {
  const folder = await createTempFolder();
  const clock = createTestClock();
  const path = join(folder, 'data', 'countersign.db');
  return {
    open: async () => createEmbeddedStore({ path, clock }),
    afterwards: async (ms, isReached) => {
      clock.passMs(ms);
      assert.ok(await isReached(), `not reached after ${ms} ms`);
    },
    stop: () => rm(folder, { recursive: true }),
  };
});

test('a record and a session live to the last millisecond, and not one longer', async () => {
  const folder = await createTempFolder();
  const clock = createTestClock();
  const store = createEmbeddedStore({ path: join(folder, 'countersign.db'), clock });
  try {
    const attempt = createAttempt({ sessionMs: 1_000, replay: { expiresInMs: 2_000, reuseWindowMs: 500 } });
    const { key } = attempt.session;
    const exchange = async (): Promise<string> => (await store.sessions.exchange(attempt)).kind;
    assert.equal(await exchange(), 'granted');
    const steps = [
      { passMs: 500, kind: 'reused', isFound: true },
      { passMs: 1, kind: 'replayed', isFound: true },
      { passMs: 498, kind: 'replayed', isFound: true },
      { passMs: 1, kind: 'replayed', isFound: false },
      { passMs: 999, kind: 'replayed', isFound: false },
      { passMs: 1, kind: 'granted', isFound: true },
    ] as const;
    for (const [index, { passMs, kind, isFound }] of steps.entries()) {
      clock.passMs(passMs);
      assert.equal(await exchange(), kind, `step ${index}`);
      assert.equal((await findBody(store, TAG, key)) !== undefined, isFound, `step ${index}`);
    }
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});

test("the folder that the store makes is its owner's alone", async () => {
  const folder = await createTempFolder();
  const store = createEmbeddedStore({ path: join(folder, 'made', 'countersign.db'), clock: createTestClock() });
  try {
    assert.equal((await stat(join(folder, 'made'))).mode & 0o777, 0o700);
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});
