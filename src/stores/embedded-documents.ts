import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import type { EmbeddedChanges } from './embedded-changes.ts';
import type { GroupCommit } from './embedded-group-commit.ts';
import { reading, toBlob, toText } from './embedded-rows.ts';
import type { Collection, DocumentStore, StoredDocument } from './ports.ts';

interface DocumentRow {
  readonly id: Uint8Array;
  readonly revision: number;
  readonly body: Uint8Array;
}

export interface EmbeddedDocumentsDeps {
  readonly db: DatabaseSyncInstance;
  readonly commits: GroupCommit;
  readonly changes: EmbeddedChanges;
}

/** Documents in SQLite. */
export function createEmbeddedDocuments({ db, commits, changes }: EmbeddedDocumentsDeps): DocumentStore {
  const list = db.prepare('SELECT id, revision, body FROM documents WHERE collection = ? ORDER BY id');
  const get = db.prepare('SELECT id, revision, body FROM documents WHERE collection = ? AND id = ?');
  const insert = db.prepare('INSERT INTO documents VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING');
  const update = db.prepare(
    'UPDATE documents SET body = ?, revision = revision + 1 WHERE collection = ? AND id = ? AND revision = ?',
  );
  const remove = db.prepare('DELETE FROM documents WHERE collection = ? AND id = ?');

  const write = async (collection: Collection, change: () => { changes: number | bigint }): Promise<boolean> => {
    const isChanged = await commits.run(() => {
      const hasChanges = change().changes > 0;
      if (hasChanges) changes.count(collection);
      return hasChanges;
    });
    // This process knows at once: what it acknowledged, it obeys.
    if (isChanged) changes.tell(collection);
    return isChanged;
  };

  return {
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
    watch: (collection, onChange) => changes.watch(collection, onChange),
  };
}

function toDocument({ id, revision, body }: DocumentRow): StoredDocument {
  return { id: toText(id), revision, body: toText(body) };
}
