import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { DROP_EVERY, soak, type SoakPlan } from '../../bench/soak-run.ts';
import { createTempFolder, startRedis } from '../support/processes.ts';

/** What `npm run soak` does, with fewer sockets and for a moment: that the command works, and no figure. */
const PLAN: SoakPlan = { socketCount: 50, holdSeconds: 2, messageEverySeconds: 1, settleMs: 50 };

describe('a small soak', () => {
  const STORES: Readonly<Record<string, () => Promise<{ env: Record<string, string>; stop(): Promise<void> }>>> = {
    embedded: async () => ({ env: {}, stop: async () => undefined }),
    redis: async () => {
      const redis = await startRedis();
      return { env: { COUNTERSIGN_REDIS_URL: redis.url }, stop: () => redis.stop() };
    },
  };
  for (const [store, open] of Object.entries(STORES)) {
    it(`on ${store}: every message is answered, a dropped socket starts again, none is lost`, async (t) => {
      const folder = await createTempFolder();
      t.after(() => rm(folder, { recursive: true, force: true }));
      const { env, stop } = await open();
      t.after(stop);
      const outcome = await soak(store, folder, env, PLAN);
      const { answers, failures, restarted, emptyBytes, idleBytes, heldBytes } = outcome;
      assert.deepEqual(
        { answers: answers.length, failures, restarted },
        { answers: 2 * PLAN.socketCount, failures: 0, restarted: PLAN.socketCount / DROP_EVERY },
      );
      for (const bytes of [emptyBytes, idleBytes, heldBytes]) assert.ok(bytes > 10_000_000, `${bytes} bytes`);
    });
  }
});
