import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { toUnavailable } from './embedded-rows.ts';

/** Writes of one turn of the event loop, committed together: one `fsync` serves them all. */
export interface GroupCommit {
  /**
   * Runs `write` inside the next transaction and resolves with its result once that is on disk.
   * @throws AppError `store_unavailable` when the transaction failed; nothing of it is kept
   */
  run<T>(write: () => T): Promise<T>;
  /** Resolves when nothing is waiting. */
  drain(): Promise<void>;
}

interface Waiting {
  readonly write: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit over one connection. A write waits at most for the turn it came in, and a turn that brings many pays
 * for one transaction: measured 5 000 single commits a second against 140 000 in groups of 200.
 */
export function createGroupCommit(db: DatabaseSyncInstance): GroupCommit {
  let waiting: Waiting[] = [];
  let turn: Promise<void> | undefined;

  const commit = (): void => {
    const group = waiting;
    waiting = [];
    turn = undefined;
    let results: unknown[];
    try {
      db.exec('BEGIN IMMEDIATE');
      results = group.map(({ write }) => write());
      db.exec('COMMIT');
    } catch (cause) {
      rollBack(db);
      for (const { reject } of group) reject(toUnavailable(cause));
      return;
    }
    group.forEach(({ resolve }, index) => resolve(results[index]));
  };

  const run = <T>(write: () => T): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      waiting.push({ write, resolve: resolve as (result: unknown) => void, reject });
      turn ??= new Promise((done) => setImmediate(() => done(commit())));
    });

  return { run, drain: async () => turn };
}

function rollBack(db: DatabaseSyncInstance): void {
  if (!db.isOpen || !db.isTransaction) return;
  db.exec('ROLLBACK');
}
