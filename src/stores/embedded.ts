import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

import { DatabaseSync } from '@photostructure/sqlite';

import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createEmbeddedAudit } from './embedded-audit.ts';
import { createCheckpoints } from './embedded-checkpoints.ts';
import { createEmbeddedChanges } from './embedded-changes.ts';
import { createEmbeddedClaims } from './embedded-claims.ts';
import { createEmbeddedConversations } from './embedded-conversations.ts';
import { createEmbeddedDocuments } from './embedded-documents.ts';
import { createEmbeddedEndings } from './embedded-endings.ts';
import { createGroupCommit } from './embedded-group-commit.ts';
import { createEmbeddedIdentities } from './embedded-identities.ts';
import { useWriteAheadLog } from './embedded-journal.ts';
import { openEmbeddedLog, type EmbeddedLog, type SyncFile } from './embedded-log.ts';
import { createEmbeddedPresence } from './embedded-presence.ts';
import { prepareSchema } from './embedded-schema.ts';
import { createEmbeddedRecords } from './embedded-records.ts';
import { createEmbeddedSealed } from './embedded-sealed.ts';
import { createEmbeddedSessions } from './embedded-sessions.ts';
import { createSweep } from './embedded-sweep.ts';
import { createEmbeddedTickets } from './embedded-tickets.ts';
import type { Store } from './ports.ts';

/** How long a write waits for another process's write, in milliseconds, before it fails closed. */
export const BUSY_TIMEOUT_MS = 500;
/** Pages that are kept in memory, in KiB. Measured, 2 MiB (what SQLite takes) cost an exchange a tenth more, and memory mapping gains nothing. */
const CACHE_KIB = 32_768;
/** How often expired rows are deleted, in milliseconds. */
const SWEEP_EVERY_MS = 10_000;

export interface EmbeddedStoreDeps {
  /** The database file; its folder is made where it is missing. */
  readonly path: string;
  readonly clock: Clock;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
  /** What brings the log to the disk; `fdatasync`, off the event loop, where it is left out. */
  readonly syncFile?: SyncFile;
}

/**
 * The store of a laptop or a single machine: one SQLite file, shared by any number of processes. Its log is synced before
 * anything is acknowledged: what was acknowledged survives `kill -9` and a power cut (docs/decisions/0021).
 * @throws Error when the file cannot be opened
 */
export function createEmbeddedStore(deps: EmbeddedStoreDeps): Store {
  const { path, clock, monotonicMs = () => performance.now(), syncFile } = deps;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  makeFile(path);
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  let log: EmbeddedLog;
  try {
    useWriteAheadLog(db, BUSY_TIMEOUT_MS);
    db.exec(`PRAGMA synchronous=NORMAL; PRAGMA secure_delete=FAST; PRAGMA cache_size=-${CACHE_KIB};`);
    prepareSchema(db);
    // SECURITY: what a recovery found in the log may be there in the page cache alone, behind a gap that no later sync fills.
    db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    log = openEmbeddedLog(path, syncFile);
  } catch (error) {
    db.close();
    throw error;
  }
  const nowMs = (): number => Math.floor(clock.nowSeconds() * 1000);
  const commits = createGroupCommit(db, log);
  const checkpoints = createCheckpoints({ path, db, commits });
  const endings = createEmbeddedEndings(db, nowMs);
  const records = createEmbeddedRecords(db);
  const identities = createEmbeddedIdentities({ db, commits, endings, nowMs });
  const changes = createEmbeddedChanges(db);
  const sweep = createSweep({ db, commits, nowMs, monotonicMs });
  const sweeper = setInterval(
    () =>
      void sweep()
        .then(records.lookForFormer)
        .catch(() => undefined),
    SWEEP_EVERY_MS,
  );
  sweeper.unref();

  return {
    documents: createEmbeddedDocuments({ db, commits, changes }),
    sessions: createEmbeddedSessions({ db, commits, records, identities: identities.writes, endings, nowMs }),
    identities: identities.store,
    conversations: createEmbeddedConversations({ db, commits, nowMs }),
    tickets: createEmbeddedTickets({ db, commits, nowMs }),
    endings,
    presence: createEmbeddedPresence({ db, commits, changes, nowMs }),
    claims: createEmbeddedClaims({ db, commits, nowMs }),
    audit: createEmbeddedAudit({ db, commits, nowMs }),
    sealed: createEmbeddedSealed(db, nowMs),
    description: 'embedded (SQLite, one machine; survives a restart, kill -9 and a power cut)',
    health: async () => {
      try {
        // A transaction that may write, and touches the file.
        await commits.run(() => void db.prepare('SELECT count(*) FROM changes').get());
        return { isReady: true };
      } catch (error) {
        return { isReady: false, problem: (error instanceof AppError && error.detail) || 'embedded store: no answer' };
      }
    },
    close: async () => {
      clearInterval(sweeper);
      changes.close();
      endings.close();
      await commits.drain();
      await checkpoints.close();
      await commits.drain();
      if (!db.isOpen) return;
      log.close();
      db.close();
    },
  };
}

/** SQLite gives its other files the mode of this one. SECURITY: one that is there is not opened: closing it would end our locks on it. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
