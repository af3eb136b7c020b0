import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { toUnavailable } from './embedded-rows.ts';

/** Writes that came in together, committed together: one sync of the log serves them all. */
export interface GroupCommit {
  /**
   * Runs `write` inside the next transaction and resolves with its result once that, and everything that it saw, is on disk.
   * @throws AppError `store_unavailable` when the transaction failed, and nothing of it is kept; or when it could not be brought
   * to the disk, and what is kept of it is unknown
   */
  run<T>(write: () => T): Promise<T>;
  /** Runs `work` between two transactions; none begins before it is done. */
  between(work: () => Promise<void>): Promise<void>;
  /** Resolves when nothing is waiting. */
  drain(): Promise<void>;
}

/** What brings a committed transaction to the disk. */
export interface CommitLog {
  /** @throws AppError `store_unavailable` where it cannot be relied on any more */
  checkUsable(): void;
  /**
   * Resolves once everything that was committed before, by whichever process, is on disk.
   * @throws AppError `store_unavailable` where that is not known
   */
  sync(): Promise<void>;
}

interface Waiting {
  readonly write: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit over one connection. What comes in while a group is on its way to the disk is the next group: nobody waits for more
 * than two syncs, and the event loop for none.
 * SECURITY: also a group that wrote nothing waits for the sync. What it saw may be another process's commit that is not on disk yet.
 */
export function createGroupCommit(db: DatabaseSyncInstance, log: CommitLog): GroupCommit {
  let waiting: Waiting[] = [];
  let works: (() => Promise<void>)[] = [];
  let running: Promise<void> | undefined;

  const commit = (group: readonly Waiting[]): unknown[] => {
    log.checkUsable();
    try {
      db.exec('BEGIN IMMEDIATE');
      const results = group.map(({ write }) => write());
      db.exec('COMMIT');
      return results;
    } catch (cause) {
      rollBack(db);
      throw toUnavailable(cause);
    }
  };

  const settle = async (group: readonly Waiting[]): Promise<void> => {
    let results: unknown[];
    try {
      results = commit(group);
      await log.sync();
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    group.forEach(({ resolve }, index) => resolve(results[index]));
  };

  const go = async (): Promise<void> => {
    while (waiting.length > 0 || works.length > 0) {
      // Whatever comes in during this turn of the event loop belongs to the group.
      await new Promise(setImmediate);
      const [group, between] = [waiting, works];
      waiting = [];
      works = [];
      for (const work of between) await work();
      if (group.length > 0) await settle(group);
    }
    running = undefined;
  };

  return {
    run: <T>(write: () => T) =>
      new Promise<T>((resolve, reject) => {
        waiting.push({ write, resolve: resolve as (result: unknown) => void, reject });
        running ??= go();
      }),
    between: (work) =>
      new Promise((resolve, reject) => {
        works.push(() => work().then(resolve, reject));
        running ??= go();
      }),
    drain: async () => running,
  };
}

function rollBack(db: DatabaseSyncInstance): void {
  if (!db.isOpen || !db.isTransaction) return;
  db.exec('ROLLBACK');
}
