import type { DatabaseSyncInstance, StatementSyncInstance } from '@photostructure/sqlite';

import { toRecordKey } from './embedded-record-keys.ts';
import { selectText, type StoredText, toBlob, toText } from './embedded-rows.ts';
import type { FoundSession } from './ports.ts';

/** A session whose identity is still the one that it was made for. */
export interface LiveSession extends FoundSession {
  readonly incarnation: string;
}

/** Replay records and sessions, inside a transaction. Times in milliseconds since the epoch. */
export interface EmbeddedRecords {
  /** When the `jti` was used first. @returns undefined where it was not, or longer ago than its record lives */
  readUse(tag: string, name: string, nowMs: number): number | undefined;
  /** Takes the `jti`. SECURITY: the primary key elects who gets it. @returns false where somebody has it */
  claim(tag: string, name: string, nowMs: number, endsAtMs: number): boolean;
  find(tag: string, name: string, nowMs: number): LiveSession | undefined;
  put(
    tag: string,
    name: string,
    session: { identity: Buffer; incarnation: string; body: string; endsAtMs: number },
  ): void;
  /** @returns false where there was none */
  remove(tag: string, name: string, nowMs: number): boolean;
  /** Looks whether anything is left of what the former version wrote; once there is not, nobody looks for it any more. */
  lookForFormer(): void;
}

interface SessionRow {
  readonly session: StoredText;
  readonly incarnation: StoredText;
  readonly id: StoredText;
  readonly owner: StoredText;
  readonly body: StoredText;
  readonly conversation: StoredText;
  readonly is_kept: 0 | 1;
}

const FIND_IN = (table: string): string => `
  SELECT ${selectText('s.body', 'session')}, ${selectText('i.incarnation', 'incarnation')}, ${selectText('i.key', 'id')},
    ${selectText('i.owner', 'owner')}, ${selectText('i.body', 'body')}, ${selectText('i.conversation', 'conversation')},
    i.expires_at_ms IS NULL AS is_kept
  FROM ${table} AS s JOIN identities AS i ON i.key = s.identity AND i.incarnation = s.incarnation
  WHERE s.key = ?1 AND s.expires_at_ms > ?2 AND (i.expires_at_ms IS NULL OR i.expires_at_ms > ?2)`;

/**
 * Replay records and sessions in SQLite, in one table. What version 4 wrote lies in two tables of its own, under names without a tag, and
 * is read for as long as there is any; nothing is added to it.
 */
export function createEmbeddedRecords(db: DatabaseSyncInstance): EmbeddedRecords {
  const readUse = db.prepare('SELECT used_at_ms FROM records WHERE key = ? AND expires_at_ms > ?');
  const readFormerUse = db.prepare('SELECT used_at_ms FROM former_replays WHERE key = ? AND expires_at_ms > ?');
  // An expired record that was not swept yet is taken over; a live one is not touched, and no row changes.
  const claim = db.prepare(`
    INSERT INTO records (key, expires_at_ms, used_at_ms) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET used_at_ms = excluded.used_at_ms, expires_at_ms = excluded.expires_at_ms
    WHERE records.expires_at_ms <= excluded.used_at_ms`);
  const put = db.prepare(
    'INSERT OR REPLACE INTO records (key, expires_at_ms, identity, incarnation, body) VALUES (?, ?, ?, ?, ?)',
  );
  const find = db.prepare(FIND_IN('records'));
  const findFormer = db.prepare(FIND_IN('former_sessions'));
  const remove = db.prepare('DELETE FROM records WHERE key = ? AND expires_at_ms > ?');
  const removeFormer = db.prepare('DELETE FROM former_sessions WHERE key = ? AND expires_at_ms > ?');
  const isAnyFormer = db.prepare(
    'SELECT EXISTS (SELECT 1 FROM former_replays) OR EXISTS (SELECT 1 FROM former_sessions) AS is_any',
  );
  const isFormerLeft = (): boolean => (isAnyFormer.get() as { is_any: 0 | 1 }).is_any === 1;
  let hasFormer = isFormerLeft();

  const toUse = (statement: StatementSyncInstance, key: Buffer, nowMs: number): number | undefined =>
    (statement.get(key, nowMs) as { used_at_ms: number } | undefined)?.used_at_ms;

  return {
    readUse: (tag, name, nowMs) =>
      toUse(readUse, toRecordKey('replay', tag, name), nowMs) ??
      (hasFormer ? toUse(readFormerUse, toBlob(name), nowMs) : undefined),
    claim: (tag, name, nowMs, endsAtMs) => claim.run(toRecordKey('replay', tag, name), endsAtMs, nowMs).changes > 0,
    find: (tag, name, nowMs) => {
      const row = (find.get(toRecordKey('session', tag, name), nowMs) ??
        (hasFormer ? findFormer.get(toBlob(name), nowMs) : undefined)) as SessionRow | undefined;
      return row && toLiveSession(row);
    },
    // Asked for no result: measured, `run` costs 1 µs more than `get`.
    put: (tag, name, { identity, incarnation, body, endsAtMs }) =>
      void put.get(toRecordKey('session', tag, name), endsAtMs, identity, toBlob(incarnation), toBlob(body)),
    remove: (tag, name, nowMs) =>
      remove.run(toRecordKey('session', tag, name), nowMs).changes > 0 ||
      (hasFormer && removeFormer.run(toBlob(name), nowMs).changes > 0),
    lookForFormer: () => void (hasFormer &&= isFormerLeft()),
  };
}

function toLiveSession({ session, incarnation, id, owner, body, conversation, is_kept }: SessionRow): LiveSession {
  return {
    body: toText(session),
    incarnation: toText(incarnation),
    identity: {
      id: toText(id),
      owner: toText(owner),
      isKept: is_kept === 1,
      body: toText(body),
      conversation: toText(conversation),
    },
  };
}
