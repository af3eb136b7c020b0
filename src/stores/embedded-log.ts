import { closeSync, fdatasync, fsyncSync, fstatSync, openSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

import { AppError } from '../core/errors.ts';
import type { CommitLog } from './embedded-group-commit.ts';

/** Brings what was written to a file to the disk; calls back with the error, if there was one. */
export type SyncFile = (descriptor: number, done: (error: Error | null) => void) => void;

export interface EmbeddedLog extends CommitLog {
  close(): void;
}

const LOST =
  'embedded store: the write-ahead log cannot be brought to the disk; stop every process on the file, then start again';

/**
 * The write-ahead log of a database file, on a descriptor of its own. Open while a connection of this process has the file: as
 * long as that is so, no process deletes or replaces the log. (POSIX locks lie on the other two files; the log may be opened and
 * closed as one likes.)
 * SECURITY: after one failure nothing is acknowledged any more. The kernel reports a failed write once, and takes the pages for
 * written then: a later sync would succeed, over a gap at which a recovery ends.
 * @throws Error when there is no log
 */
export function openEmbeddedLog(databasePath: string, syncFile: SyncFile = fdatasync): EmbeddedLog {
  const path = `${databasePath}-wal`;
  const descriptor = openSync(path, 'r+');
  const opened = fstatSync(descriptor);
  syncFolder(dirname(path));
  let failure: AppError | undefined;

  const fail = (cause: unknown): AppError => (failure ??= new AppError('store_unavailable', { detail: LOST, cause }));
  const checkPlace = (): void => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined || !isSameFile(found, opened)) throw new Error('the log was deleted or replaced');
  };

  return {
    checkUsable: () => {
      if (failure) throw failure;
    },
    sync: () =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure);
        syncFile(descriptor, (error) => {
          try {
            if (error) throw error;
            checkPlace();
            resolve();
          } catch (cause) {
            reject(fail(cause));
          }
        });
      }),
    close: () => {
      failure ??= new AppError('store_unavailable', { detail: 'embedded store: the database file is closed' });
      closeSync(descriptor);
    },
  };
}

const isSameFile = (one: Stats, other: Stats): boolean => one.ino === other.ino && one.dev === other.dev;

/** The name of a new log must be on the disk, too. Windows has no such thing as the sync of a folder. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
