import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { AppError } from '../core/errors.ts';
import type { EmbeddedEndings } from './embedded-endings.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import type { IdentityWrites, LiveIdentity } from './embedded-identities.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import {
  APP_GONE,
  type ExchangeAttempt,
  type ExchangeOutcome,
  type MergeClaim,
  type ReplayClaim,
  type SessionStore,
} from './ports.ts';

export interface EmbeddedSessionsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly identities: IdentityWrites;
  readonly endings: EmbeddedEndings;
  readonly nowMs: () => number;
}

/** A session inside a transaction: with its identity, which is still the one that it was made for. */
interface LiveSession {
  readonly body: string;
  readonly identity: LiveIdentity;
}

/** Rows that one step of a purge looks at. */
const PURGED_AT_ONCE = 1_000;

interface SessionOwner {
  readonly key: Uint8Array;
  /** Whether the identity that it was made for is gone. */
  readonly isGone: 0 | 1;
}

/** Sessions and replay records in SQLite. */
export function createEmbeddedSessions({
  db,
  commits,
  identities,
  endings,
  nowMs,
}: EmbeddedSessionsDeps): SessionStore {
  const findApp = db.prepare("SELECT 1 FROM documents WHERE collection = 'apps' AND id = ?");
  const findReplay = db.prepare('SELECT used_at_ms FROM replays WHERE key = ? AND expires_at_ms > ?');
  // An expired record that was not swept yet is taken over; a live one is not touched, and no row changes.
  const claim = db.prepare(`
    INSERT INTO replays (key, used_at_ms, expires_at_ms) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET used_at_ms = excluded.used_at_ms, expires_at_ms = excluded.expires_at_ms
    WHERE replays.expires_at_ms <= excluded.used_at_ms`);
  // SECURITY: the first write is the one that elects the winner.
  const isClaimed = ({ key, expiresInMs }: ReplayClaim, now: number): boolean =>
    claim.run(toBlob(key), now, now + Math.ceil(expiresInMs)).changes > 0;
  const store = db.prepare(
    'INSERT OR REPLACE INTO sessions (key, identity, incarnation, body, expires_at_ms) VALUES (?, ?, ?, ?, ?)',
  );
  const findSession = db.prepare(
    'SELECT identity, incarnation, body FROM sessions WHERE key = ? AND expires_at_ms > ?',
  );
  const pageOf = db.prepare(`
    SELECT page.key, identities.key IS NULL AS isGone
    FROM (SELECT key, identity, incarnation FROM sessions WHERE key > ? ORDER BY key LIMIT ?) AS page
    LEFT JOIN identities ON identities.key = page.identity AND identities.incarnation = page.incarnation
    ORDER BY page.key`);
  const dropSession = db.prepare('DELETE FROM sessions WHERE key = ?');
  const removeSession = db.prepare('DELETE FROM sessions WHERE key = ? AND expires_at_ms > ?');

  const find = (key: string, now: number): LiveSession | undefined => {
    const row = findSession.get(toBlob(key), now) as
      | { identity: Uint8Array; incarnation: Uint8Array; body: Uint8Array }
      | undefined;
    const identity = row && identities.find(toText(row.identity), now);
    return identity && identity.incarnation === toText(row.incarnation)
      ? { body: toText(row.body), identity }
      : undefined;
  };
  const readUse = (key: string, now: number): number | undefined =>
    (findReplay.get(toBlob(key), now) as { used_at_ms: number } | undefined)?.used_at_ms;

  const resume = (replay: ReplayClaim, sessionKey: string, usedAtMs: number, now: number): ExchangeOutcome => {
    const isOpen = replay.reuseWindowMs > 0 && now - usedAtMs <= replay.reuseWindowMs;
    const session = isOpen ? find(sessionKey, now) : undefined;
    return session ? { kind: 'reused', body: session.body } : { kind: 'replayed' };
  };

  const findMerged = (merge: MergeClaim | undefined, id: string, now: number): LiveIdentity | undefined => {
    for (const one of merge?.ids ?? []) {
      const found = one === id ? undefined : identities.find(one, now);
      if (found) return found;
    }
    return undefined;
  };
  const isProven = ({ needsProof, proof }: MergeClaim, other: LiveIdentity, now: number): boolean => {
    const session = needsProof && proof ? find(proof.key, now) : undefined;
    return !needsProof || (session?.identity.id === other.id && session.identity.incarnation === other.incarnation);
  };

  // Everything is looked at before anything is written: what is refused leaves no trace.
  const exchangeNow = ({ app, replay, session, identity }: ExchangeAttempt): ExchangeOutcome | undefined => {
    const now = nowMs();
    if (app !== undefined && findApp.get(toBlob(app)) === undefined) return undefined;
    if (replay?.formerKeys.some((key) => readUse(key, now) !== undefined)) return { kind: 'replayed' };
    const usedAtMs = replay && readUse(replay.key, now);
    if (replay && usedAtMs !== undefined) return resume(replay, session.key, usedAtMs, now);
    const me = identities.find(identity.id, now);
    if (me === undefined && !identity.mayCreate) return { kind: 'unknown' };
    const { merge } = identity;
    const other = findMerged(merge, identity.id, now);
    if (merge && other && !isProven(merge, other, now)) return { kind: 'unproven' };

    if (replay && !isClaimed(replay, now)) return { kind: 'replayed' };
    const incarnation = identities.enter(identity, me, other, now);
    const texts = [session.key, identity.id, incarnation, session.body].map(toBlob);
    store.run(...texts, now + Math.ceil(session.expiresInMs));
    return { kind: 'granted' };
  };

  return {
    exchange: async (attempt) => {
      const outcome = await commits.run(() => exchangeNow(attempt));
      if (outcome === undefined) throw new AppError('store_unavailable', { detail: APP_GONE });
      return outcome;
    },
    find: (_tag, key) =>
      reading(() => {
        const session = find(key, nowMs());
        if (session === undefined) return undefined;
        const { incarnation: _, activeUntilMs: _until, ...identity } = session.identity;
        return { body: session.body, identity };
      }),
    revoke: (tag, key) =>
      commits.run(() => {
        const isRevoked = removeSession.run(toBlob(key), nowMs()).changes > 0;
        if (isRevoked) endings.add({ kind: 'session', id: `${tag}.${key}` });
        return isRevoked;
      }),
    purge: async () => {
      let after: Uint8Array | undefined = Buffer.alloc(0);
      while (after) {
        const page: SessionOwner[] = await reading(
          () => pageOf.all(after, PURGED_AT_ONCE) as unknown as SessionOwner[],
        );
        const gone = page.filter(({ isGone }) => isGone === 1);
        await commits.run(() => gone.forEach(({ key }) => dropSession.run(key)));
        after = page.at(-1)?.key;
      }
    },
  };
}
