import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { EmbeddedChanges } from './embedded-changes.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import type { PresenceStore } from './ports.ts';

/** Under what its changes are counted, beside the collections of documents. */
const SUBJECT = 'presence';
/** A byte that no UTF-8 holds: behind everything that begins with what stands before it. */
const BEHIND = Buffer.of(0xff);

interface PresenceRow {
  readonly key: Uint8Array;
  readonly body: Uint8Array;
}

export interface EmbeddedPresenceDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly changes: EmbeddedChanges;
  readonly nowMs: () => number;
}

/** Presence in SQLite: a row an owner. */
export function createEmbeddedPresence({ db, commits, changes, nowMs }: EmbeddedPresenceDeps): PresenceStore {
  const get = db.prepare('SELECT body FROM presence WHERE key = ? AND expires_at_ms > ?');
  const put = db.prepare('INSERT OR REPLACE INTO presence (key, body, expires_at_ms) VALUES (?, ?, ?)');
  const remove = db.prepare('DELETE FROM presence WHERE key = ? AND expires_at_ms > ?');
  const list = db.prepare(
    'SELECT key, body FROM presence WHERE key >= ? AND key < ? AND expires_at_ms > ? ORDER BY key',
  );

  const write = async (change: () => boolean): Promise<void> => {
    const isChanged = await commits.run(() => {
      const hasChanged = change();
      if (hasChanged) changes.count(SUBJECT);
      return hasChanged;
    });
    if (isChanged) changes.tell(SUBJECT);
  };

  return {
    announce: (owner, body, expiresInMs) =>
      write(() => {
        const [key, value] = [toBlob(owner), toBlob(body)];
        const former = get.get(key, nowMs()) as { body: Uint8Array } | undefined;
        put.run(key, value, nowMs() + Math.ceil(expiresInMs));
        return former === undefined || !value.equals(former.body);
      }),
    withdraw: (owner) => write(() => remove.run(toBlob(owner), nowMs()).changes > 0),
    list: (prefix) =>
      reading(() => {
        const from = toBlob(prefix);
        const rows = list.all(from, Buffer.concat([from, BEHIND]), nowMs()) as unknown as PresenceRow[];
        return rows.map(({ key, body }) => ({ owner: toText(key), body: toText(body) }));
      }),
    watch: (onChange) => changes.watch(SUBJECT, onChange),
  };
}
