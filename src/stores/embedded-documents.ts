import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import type { Collection, DocumentStore, StoredDocument } from './ports.ts';

/** How often a process looks whether another one changed a document, in milliseconds. */
const WATCH_EVERY_MS = 250;

/** Documents in SQLite. */
export function createEmbeddedDocuments({ db, commits }: { db: DatabaseSyncInstance; commits: GroupCommit }): {
  store: DocumentStore;
  close: () => void;
} {
  const list = db.prepare('SELECT id, revision, body FROM documents WHERE collection = ? ORDER BY id');
  const get = db.prepare('SELECT id, revision, body FROM documents WHERE collection = ? AND id = ?');
  const insert = db.prepare('INSERT INTO documents VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING');
  const update = db.prepare(
    'UPDATE documents SET body = ?, revision = revision + 1 WHERE collection = ? AND id = ? AND revision = ?',
  );
  const remove = db.prepare('DELETE FROM documents WHERE collection = ? AND id = ?');
  const countChange = db.prepare(
    'INSERT INTO changes VALUES (?, 1) ON CONFLICT (collection) DO UPDATE SET count = count + 1',
  );
  const readCount = db.prepare('SELECT count FROM changes WHERE collection = ?');
  const timers = new Set<NodeJS.Timeout>();

  const write = (collection: Collection, change: () => { changes: number | bigint }): Promise<boolean> =>
    commits.run(() => {
      const isChanged = change().changes > 0;
      if (isChanged) countChange.run(collection);
      return isChanged;
    });
  const changeCount = (collection: Collection): number =>
    (readCount.get(collection) as { count: number } | undefined)?.count ?? 0;

  return {
    store: {
      list: async (collection) => list.all(collection) as unknown as StoredDocument[],
      get: async (collection, id) => get.get(collection, id) as unknown as StoredDocument | undefined,
      insert: (collection, id, body) => write(collection, () => insert.run(collection, id, body)),
      update: (collection, id, body, revision) => write(collection, () => update.run(body, collection, id, revision)),
      remove: (collection, id) => write(collection, () => remove.run(collection, id)),
      watch: (collection, onChange) => {
        let seen = changeCount(collection);
        const timer = setInterval(() => {
          const count = changeCount(collection);
          if (count === seen) return;
          seen = count;
          onChange();
        }, WATCH_EVERY_MS);
        timer.unref();
        timers.add(timer);
        return () => {
          clearInterval(timer);
          timers.delete(timer);
        };
      },
    },
    close: () => timers.forEach((timer) => clearInterval(timer)),
  };
}
