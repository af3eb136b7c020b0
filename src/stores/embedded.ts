import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

import { DatabaseSync } from '@photostructure/sqlite';

import type { Clock } from '../core/clock.ts';
import { createEmbeddedDocuments } from './embedded-documents.ts';
import { createEmbeddedSessions } from './embedded-sessions.ts';
import { createGroupCommit } from './embedded-group-commit.ts';
import type { Store } from './ports.ts';

/** How long a write waits for another process's write, in milliseconds, before it fails closed. */
export const BUSY_TIMEOUT_MS = 500;
/** How often expired rows are deleted, in milliseconds. */
const SWEEP_EVERY_MS = 10_000;

/**
 * Version 1 of the file. `replays` and `sessions` carry their end; a row past it counts as absent until it is swept.
 * Keys, ids and bodies are blobs, so that they are kept and compared byte for byte.
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, id BLOB NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (collection, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (collection TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS replays (
    key BLOB PRIMARY KEY, used_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS replays_by_expiry ON replays (expires_at_ms);
  CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at_ms);
`;

export interface EmbeddedStoreDeps {
  /** The database file; its folder is made where it is missing. */
  readonly path: string;
  readonly clock: Clock;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
}

/**
 * The store of a laptop or a single machine: one SQLite file, shared by any number of processes. WAL with
 * `synchronous=FULL`: what was acknowledged survives `kill -9` and a power cut.
 * @throws Error when the file cannot be opened
 */
export function createEmbeddedStore({ path, clock, monotonicMs = () => performance.now() }: EmbeddedStoreDeps): Store {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // SQLite gives its other files the mode of this one.
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;');
  db.exec(SCHEMA);
  const commits = createGroupCommit(db);
  const sessions = createEmbeddedSessions({ db, commits, clock, monotonicMs });
  const documents = createEmbeddedDocuments({ db, commits });
  const sweeper = setInterval(() => void sessions.sweep().catch(() => undefined), SWEEP_EVERY_MS);
  sweeper.unref();

  return {
    documents: documents.store,
    sessions: sessions.store,
    description: 'embedded (SQLite, one machine; survives a restart, kill -9 and a power cut)',
    health: async () => {
      try {
        // A transaction that may write, and touches the file.
        await commits.run(() => void db.prepare('SELECT count(*) FROM changes').get());
        return { isReady: true };
      } catch {
        return { isReady: false, problem: 'embedded store: the database file does not answer' };
      }
    },
    close: async () => {
      clearInterval(sweeper);
      documents.close();
      await commits.drain();
      if (db.isOpen) db.close();
    },
  };
}
