import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { MORTAL_TABLES } from './embedded-schema.ts';
import { createSweepPace } from './embedded-sweep-pace.ts';

/** Rows that one transaction of a sweep deletes at most from each table, so that it never holds the file for long. */
const SWEEP_ROWS = 1_000;

export interface SweepDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly nowMs: () => number;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs: () => number;
}

/** Deletes what has expired. */
export function createSweep({ db, commits, nowMs, monotonicMs }: SweepDeps): () => Promise<void> {
  const sweeps = MORTAL_TABLES.map((table) =>
    db.prepare(
      `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE expires_at_ms <= ? LIMIT ${SWEEP_ROWS})`,
    ),
  );
  const pace = createSweepPace(nowMs, monotonicMs);

  // As often as there is a full batch: deleting must keep up with whatever came in.
  return async function sweep() {
    const beforeMs = pace();
    let largest: number;
    do {
      const counts = await commits.run(() => sweeps.map((one) => one.run(beforeMs).changes));
      largest = Math.max(...counts);
    } while (largest >= SWEEP_ROWS);
  };
}
