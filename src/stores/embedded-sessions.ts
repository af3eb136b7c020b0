import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { Clock } from '../core/clock.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import { createSweepPace } from './embedded-sweep-pace.ts';
import type { ExchangeAttempt, ExchangeOutcome, ReplayClaim, SessionStore } from './ports.ts';

/** Rows that one transaction of a sweep deletes at most from each table, so that it never holds the file for long. */
const SWEEP_ROWS = 1_000;

export interface EmbeddedSessionsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly clock: Clock;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs: () => number;
}

/** Sessions and replay records in SQLite; `sweep` deletes what has expired. */
export function createEmbeddedSessions({ db, commits, clock, monotonicMs }: EmbeddedSessionsDeps): {
  store: SessionStore;
  sweep: () => Promise<void>;
} {
  // An expired record that was not swept yet is taken over; a live one is not touched, and no row changes.
  const claim = db.prepare(`
    INSERT INTO replays (key, used_at_ms, expires_at_ms) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET used_at_ms = excluded.used_at_ms, expires_at_ms = excluded.expires_at_ms
    WHERE replays.expires_at_ms <= excluded.used_at_ms`);
  const findReplay = db.prepare('SELECT used_at_ms FROM replays WHERE key = ? AND expires_at_ms > ?');
  const store = db.prepare('INSERT OR REPLACE INTO sessions (key, body, expires_at_ms) VALUES (?, ?, ?)');
  const findSession = db.prepare('SELECT body FROM sessions WHERE key = ? AND expires_at_ms > ?');
  const removeSession = db.prepare('DELETE FROM sessions WHERE key = ? AND expires_at_ms > ?');
  const sweeps = ['replays', 'sessions'].map((table) =>
    db.prepare(
      `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} WHERE expires_at_ms <= ? LIMIT ${SWEEP_ROWS})`,
    ),
  );
  const nowMs = (): number => Math.floor(clock.nowSeconds() * 1000);
  const pace = createSweepPace(nowMs, monotonicMs);

  const isTaken = (replay: ReplayClaim, now: number): boolean =>
    replay.formerKeys.some((key) => findReplay.get(toBlob(key), now) !== undefined) ||
    claim.run(toBlob(replay.key), now, now + Math.ceil(replay.expiresInMs)).changes === 0;

  const findBody = (key: string, now: number): string | undefined => {
    const row = findSession.get(toBlob(key), now) as { body: Uint8Array } | undefined;
    return row && toText(row.body);
  };

  const resume = (replay: ReplayClaim, sessionKey: string, now: number): ExchangeOutcome => {
    const first = findReplay.get(toBlob(replay.key), now) as { used_at_ms: number } | undefined;
    if (first === undefined || now - first.used_at_ms > replay.reuseWindowMs) return { kind: 'replayed' };
    const body = findBody(sessionKey, now);
    return body === undefined ? { kind: 'replayed' } : { kind: 'reused', body };
  };

  const exchangeNow = ({ replay, session }: ExchangeAttempt): ExchangeOutcome => {
    const now = nowMs();
    if (replay && isTaken(replay, now)) {
      return replay.reuseWindowMs > 0 ? resume(replay, session.key, now) : { kind: 'replayed' };
    }
    store.run(toBlob(session.key), toBlob(session.body), now + Math.ceil(session.expiresInMs));
    return { kind: 'granted' };
  };

  return {
    store: {
      exchange: (attempt) => commits.run(() => exchangeNow(attempt)),
      find: (_tag, key) => reading(() => findBody(key, nowMs())),
      revoke: (_tag, key) => commits.run(() => removeSession.run(toBlob(key), nowMs()).changes > 0),
    },
    // As often as there is a full batch: deleting must keep up with whatever came in.
    sweep: async () => {
      const beforeMs = pace();
      let largest: number;
      do {
        const counts = await commits.run(() => sweeps.map((sweep) => sweep.run(beforeMs).changes));
        largest = Math.max(...counts);
      } while (largest >= SWEEP_ROWS);
    },
  };
}
