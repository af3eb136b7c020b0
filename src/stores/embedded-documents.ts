import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import type { Collection, DocumentStore, StoredDocument } from './ports.ts';

/** How often a process looks whether another one changed a document, in milliseconds. */
const WATCH_EVERY_MS = 250;

interface DocumentRow {
  readonly id: Uint8Array;
  readonly revision: number;
  readonly body: Uint8Array;
}

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
  const watchers = new Set<(changed: Collection) => void>();

  const write = async (collection: Collection, change: () => { changes: number | bigint }): Promise<boolean> => {
    const isChanged = await commits.run(() => {
      const hasChanges = change().changes > 0;
      if (hasChanges) countChange.run(collection);
      return hasChanges;
    });
    // This process knows at once: what it acknowledged, it obeys.
    if (isChanged) watchers.forEach((tell) => tell(collection));
    return isChanged;
  };
  const changeCount = (collection: Collection): number =>
    (readCount.get(collection) as { count: number } | undefined)?.count ?? 0;
  // A look that fails is made up for by the next one.
  const readChangeCount = (collection: Collection): number | undefined => {
    try {
      return changeCount(collection);
    } catch {
      return undefined;
    }
  };

  return {
    store: {
      list: (collection) => reading(() => (list.all(collection) as unknown as DocumentRow[]).map(toDocument)),
      get: (collection, id) =>
        reading(() => {
          const row = get.get(collection, toBlob(id)) as DocumentRow | undefined;
          return row && toDocument(row);
        }),
      insert: (collection, id, body) => write(collection, () => insert.run(collection, toBlob(id), toBlob(body))),
      update: (collection, id, body, revision) =>
        write(collection, () => update.run(toBlob(body), collection, toBlob(id), revision)),
      remove: (collection, id) => write(collection, () => remove.run(collection, toBlob(id))),
      watch: (collection, onChange) => {
        let seen = changeCount(collection);
        const check = (): void => {
          const count = readChangeCount(collection) ?? seen;
          if (count === seen) return;
          seen = count;
          onChange();
        };
        const tell = (changed: Collection): void => {
          if (changed === collection) check();
        };
        const timer = setInterval(check, WATCH_EVERY_MS);
        timer.unref();
        timers.add(timer);
        watchers.add(tell);
        return () => {
          clearInterval(timer);
          timers.delete(timer);
          watchers.delete(tell);
        };
      },
    },
    close: () => timers.forEach((timer) => clearInterval(timer)),
  };
}

function toDocument({ id, revision, body }: DocumentRow): StoredDocument {
  return { id: toText(id), revision, body: toText(body) };
}
