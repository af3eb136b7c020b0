import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { EmbeddedEndings } from './embedded-endings.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, selectText, type StoredText, toBlob, toText } from './embedded-rows.ts';
import type { IdentityClaim, IdentityStore, StoredIdentity } from './ports.ts';

interface IdentityRow {
  readonly key: Uint8Array;
  readonly owner: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly conversation: Uint8Array;
  readonly active_until_ms: number;
  readonly body: Uint8Array;
  readonly expires_at_ms: number | null;
}

interface LiveRow {
  readonly incarnation: StoredText;
  readonly conversation: StoredText;
  readonly active_until_ms: number;
}

/** An identity inside a transaction. */
export interface LiveIdentity extends Pick<StoredIdentity, 'id' | 'conversation' | 'activeUntilMs'> {
  readonly key: Buffer;
  readonly incarnation: string;
}

/** What an exchange does with identities, inside its transaction. */
export interface IdentityWrites {
  find(id: string, nowMs: number): LiveIdentity | undefined;
  /** Creates the identity or brings it up to date, and takes `other` over. @returns whose session it is */
  enter(
    claim: IdentityClaim,
    me: LiveIdentity | undefined,
    other: LiveIdentity | undefined,
    nowMs: number,
  ): { identity: Buffer; incarnation: string };
}

export interface EmbeddedIdentitiesDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly endings: EmbeddedEndings;
  readonly nowMs: () => number;
}

const COLUMNS = 'key, owner, incarnation, conversation, active_until_ms, body, expires_at_ms';

/** Identities in SQLite. */
export function createEmbeddedIdentities({ db, commits, endings, nowMs }: EmbeddedIdentitiesDeps): {
  store: IdentityStore;
  writes: IdentityWrites;
} {
  const find = db.prepare(
    `SELECT ${COLUMNS} FROM identities WHERE key = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)`,
  );
  // What an exchange needs to know.
  const findLive = db.prepare(`
    SELECT ${selectText('incarnation')}, ${selectText('conversation')}, active_until_ms
    FROM identities WHERE key = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)`);
  const list = db.prepare(
    `SELECT ${COLUMNS} FROM identities WHERE owner = ? AND expires_at_ms IS NULL AND key > ? ORDER BY key LIMIT ?`,
  );
  // One that has expired and was not swept yet is replaced.
  const insert = db.prepare(`INSERT OR REPLACE INTO identities (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`);
  const update = db.prepare(
    'UPDATE identities SET conversation = ?, active_until_ms = ?, expires_at_ms = ? WHERE key = ?',
  );
  const remove = db.prepare('DELETE FROM identities WHERE key = ?');
  const removeMessages = db.prepare('DELETE FROM messages WHERE conversation = ?');
  const prolongMessages = db.prepare('UPDATE messages SET expires_at_ms = ? WHERE conversation = ?');

  const findRow = (id: string, now: number): IdentityRow | undefined =>
    find.get(toBlob(id), now) as IdentityRow | undefined;
  const findLiveRow = (id: string, now: number): LiveIdentity | undefined => {
    const key = toBlob(id);
    const row = findLive.get(key, now) as LiveRow | undefined;
    if (row === undefined) return undefined;
    return {
      id,
      key,
      incarnation: toText(row.incarnation),
      conversation: toText(row.conversation),
      activeUntilMs: row.active_until_ms,
    };
  };
  const forget = ({ id, key, conversation }: LiveIdentity, isContinued: boolean): void => {
    remove.run(key);
    if (!isContinued) removeMessages.run(toBlob(conversation));
    endings.add({ kind: 'identity', id });
  };

  const enter: IdentityWrites['enter'] = (claim, me, other, now) => {
    const isActive = me !== undefined && me.activeUntilMs > now;
    const isTakenOver = other !== undefined && other.activeUntilMs > now;
    let conversation = me?.conversation ?? claim.conversation;
    // An earlier session of a longer life keeps what it has.
    const untilMs = Math.max(now + Math.ceil(claim.activeMs), me?.activeUntilMs ?? 0);
    if (me && (isTakenOver || !isActive)) {
      removeMessages.run(toBlob(conversation));
      if (isActive) endings.add({ kind: 'conversation', id: conversation });
      conversation = claim.conversation;
    }
    if (isTakenOver) conversation = other.conversation;
    if (other) forget(other, isTakenOver);
    const expiresAtMs = claim.isKept ? null : untilMs;
    const incarnation = me?.incarnation ?? claim.incarnation;
    const identity = me?.key ?? toBlob(claim.id);
    const name = toBlob(conversation);
    // Asked for no result: measured, `run` costs 1 µs more than `get`.
    if (me) update.get(name, untilMs, expiresAtMs, identity);
    else {
      const texts = [claim.owner, incarnation, conversation].map(toBlob);
      insert.run(identity, ...texts, untilMs, toBlob(claim.body), expiresAtMs);
    }
    // A conversation that nobody has yet has no messages.
    if (isActive || isTakenOver) prolongMessages.get(untilMs, name);
    return { identity, incarnation };
  };

  return {
    writes: {
      enter,
      find: findLiveRow,
    },
    store: {
      create: (identity) =>
        commits.run(() => {
          if (findRow(identity.id, nowMs())) return false;
          const texts = [identity.id, identity.owner, identity.incarnation, identity.conversation].map(toBlob);
          insert.run(...texts, 0, toBlob(identity.body), null);
          return true;
        }),
      get: (id) =>
        reading(() => {
          const row = findRow(id, nowMs());
          return row && toIdentity(row);
        }),
      list: (owner, after, limit) =>
        reading(() => (list.all(toBlob(owner), toBlob(after), limit) as unknown as IdentityRow[]).map(toIdentity)),
      remove: async (id) => {
        const isRemoved = await commits.run(() => {
          const found = findLiveRow(id, nowMs());
          if (found) forget(found, false);
          return found !== undefined;
        });
        return isRemoved;
      },
    },
  };
}

function toIdentity({ key, owner, conversation, active_until_ms, body, expires_at_ms }: IdentityRow): StoredIdentity {
  return {
    id: toText(key),
    owner: toText(owner),
    isKept: expires_at_ms === null,
    body: toText(body),
    conversation: toText(conversation),
    activeUntilMs: active_until_ms,
  };
}
