import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { AppError } from '../core/errors.ts';
import type { EmbeddedEndings } from './embedded-endings.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import type { IdentityWrites, LiveIdentity } from './embedded-identities.ts';
import { createPurge } from './embedded-purge.ts';
import type { EmbeddedRecords } from './embedded-records.ts';
import { reading, toBlob } from './embedded-rows.ts';
import { APP_GONE, type ExchangeAttempt, type ExchangeOutcome, type MergeClaim, type SessionStore } from './ports.ts';

export interface EmbeddedSessionsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly records: EmbeddedRecords;
  readonly identities: IdentityWrites;
  readonly endings: EmbeddedEndings;
  readonly nowMs: () => number;
}

/** Sessions and replay records in SQLite. */
export function createEmbeddedSessions(deps: EmbeddedSessionsDeps): SessionStore {
  const { db, commits, records, identities, endings, nowMs } = deps;
  const findApp = db.prepare("SELECT 1 FROM documents WHERE collection = 'apps' AND id = ?");

  const resume = ({ tag, replay, session }: ExchangeAttempt, usedAtMs: number, now: number): ExchangeOutcome => {
    const windowMs = replay?.reuseWindowMs ?? 0;
    const found = windowMs > 0 && now - usedAtMs <= windowMs ? records.find(tag, session.key, now) : undefined;
    return found ? { kind: 'reused', body: found.body } : { kind: 'replayed' };
  };

  const findMerged = (merge: MergeClaim, id: string, now: number): LiveIdentity | undefined => {
    for (const one of merge.ids) {
      const found = one === id ? undefined : identities.find(one, now);
      if (found) return found;
    }
    return undefined;
  };
  const isProven = ({ needsProof, proof }: MergeClaim, other: LiveIdentity, now: number): boolean => {
    const session = needsProof && proof ? records.find(proof.tag, proof.key, now) : undefined;
    return !needsProof || (session?.identity.id === other.id && session.incarnation === other.incarnation);
  };

  // Everything is looked at before anything is written: what is refused leaves no trace.
  const exchangeNow = (attempt: ExchangeAttempt): ExchangeOutcome | undefined => {
    const { tag, app, replay, session, identity } = attempt;
    const now = nowMs();
    if (app !== undefined && findApp.get(toBlob(app)) === undefined) return undefined;
    if (replay?.formerKeys.some((key) => records.readUse(tag, key, now) !== undefined)) return { kind: 'replayed' };
    const usedAtMs = replay && records.readUse(tag, replay.key, now);
    if (usedAtMs !== undefined) return resume(attempt, usedAtMs, now);
    const me = identities.find(identity.id, now);
    if (me === undefined && !identity.mayCreate) return { kind: 'unknown' };
    const { merge } = identity;
    const other = merge && findMerged(merge, identity.id, now);
    if (merge && other && !isProven(merge, other, now)) return { kind: 'unproven' };

    // SECURITY: the first write is the one that elects the winner.
    const isClaimed = !replay || records.claim(tag, replay.key, now, now + Math.ceil(replay.expiresInMs));
    if (!isClaimed) return { kind: 'replayed' };
    const owner = identities.enter(identity, me, other, now);
    const endsAtMs = now + Math.ceil(session.expiresInMs);
    records.put(tag, session.key, { ...owner, body: session.body, endsAtMs });
    return { kind: 'granted' };
  };

  return {
    exchange: async (attempt) => {
      const outcome = await commits.run(() => exchangeNow(attempt));
      if (outcome === undefined) throw new AppError('store_unavailable', { detail: APP_GONE });
      return outcome;
    },
    find: (tag, key) =>
      reading(() => {
        const session = records.find(tag, key, nowMs());
        return session && { body: session.body, identity: session.identity };
      }),
    revoke: (tag, key) =>
      commits.run(() => {
        const isRevoked = records.remove(tag, key, nowMs());
        if (isRevoked) endings.add({ kind: 'session', id: `${tag}.${key}` });
        return isRevoked;
      }),
    purge: createPurge(db, commits),
  };
}
