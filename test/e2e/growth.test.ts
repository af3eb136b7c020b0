import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { describe, it } from 'node:test';

import { toCapacityTables, toCosts, USAGE } from '../../bench/capacity-report.ts';
import { judgeGrowth, toGrowthTable, toOtherTable } from '../../bench/growth-report.ts';
import { runGrowth } from '../../bench/growth-run.ts';
import { GENERATORS } from '../../bench/load-generators.ts';
import { createTempFolder } from '../support/processes.ts';

describe('the bench of the growth', () => {
  it('runs, on both stores, small', async () => {
    const folder = await createTempFolder();
    const all = `0-${availableParallelism() - 1}`;
    try {
      const run = await runGrowth({
        sizes: [2_000],
        controlSize: 500,
        warmUpCount: 0,
        roundCount: 1,
        roundSeconds: 0.2,
        realCount: 100,
        byteRecordCount: 1_000,
        cores: { server: all, second: all, load: all, sharedLoad: all },
        generator: GENERATORS.autocannon,
        folder,
        log: () => undefined,
      });
      for (const { jti, session } of Object.values(run.bytes)) {
        assert.ok(jti > 20 && jti < 400, `${jti} bytes a jti record`);
        assert.ok(session > 50 && session < 1_000, `${session} bytes a session`);
      }
      assert.ok(run.wire.http > 500 && run.wire.redis > 100);
      assert.equal(judgeGrowth(run).length, 7);
      for (const text of [toGrowthTable(run), toOtherTable(run), toCapacityTables(toCosts(run), USAGE)])
        assert.doesNotMatch(text, /NaN|Infinity|undefined/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
