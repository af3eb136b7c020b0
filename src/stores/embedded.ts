import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

import { DatabaseSync } from '@photostructure/sqlite';

import type { Clock } from '../core/clock.ts';
import { createEmbeddedAudit } from './embedded-audit.ts';
import { createEmbeddedChanges } from './embedded-changes.ts';
import { createEmbeddedClaims } from './embedded-claims.ts';
import { createEmbeddedConversations } from './embedded-conversations.ts';
import { createEmbeddedDocuments } from './embedded-documents.ts';
import { createEmbeddedEndings } from './embedded-endings.ts';
import { createGroupCommit } from './embedded-group-commit.ts';
import { createEmbeddedIdentities } from './embedded-identities.ts';
import { useWriteAheadLog } from './embedded-journal.ts';
import { createEmbeddedPresence } from './embedded-presence.ts';
import { prepareSchema } from './embedded-schema.ts';
import { createEmbeddedSealed } from './embedded-sealed.ts';
import { createEmbeddedSessions } from './embedded-sessions.ts';
import { createSweep } from './embedded-sweep.ts';
import { createEmbeddedTickets } from './embedded-tickets.ts';
import type { Store } from './ports.ts';

/** How long a write waits for another process's write, in milliseconds, before it fails closed. */
export const BUSY_TIMEOUT_MS = 500;
/** How often expired rows are deleted, in milliseconds. */
const SWEEP_EVERY_MS = 10_000;

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
  try {
    useWriteAheadLog(db, BUSY_TIMEOUT_MS);
    db.exec('PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST;');
    prepareSchema(db);
  } catch (error) {
    db.close();
    throw error;
  }
  const nowMs = (): number => Math.floor(clock.nowSeconds() * 1000);
  const commits = createGroupCommit(db);
  const endings = createEmbeddedEndings(db, nowMs);
  const identities = createEmbeddedIdentities({ db, commits, endings, nowMs });
  const changes = createEmbeddedChanges(db);
  const sweep = createSweep({ db, commits, nowMs, monotonicMs });
  const sweeper = setInterval(() => void sweep().catch(() => undefined), SWEEP_EVERY_MS);
  sweeper.unref();

  return {
    documents: createEmbeddedDocuments({ db, commits, changes }),
    sessions: createEmbeddedSessions({ db, commits, identities: identities.writes, endings, nowMs }),
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
      } catch {
        return { isReady: false, problem: 'embedded store: the database file does not answer' };
      }
    },
    close: async () => {
      clearInterval(sweeper);
      changes.close();
      endings.close();
      await commits.drain();
      if (db.isOpen) db.close();
    },
  };
}
