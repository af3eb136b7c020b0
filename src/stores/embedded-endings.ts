import type { DatabaseSyncInstance } from '@photostructure/sqlite';

import { toBlob, toText } from './embedded-rows.ts';
import type { Ending, EndingFeed, EndingWatcher } from './ports.ts';

/** How often a process looks whether another one ended something, in milliseconds. */
const WATCH_EVERY_MS = 250;
/** How long an ending is kept for processes that look late, in milliseconds. */
const KEPT_MS = 600_000;

interface EndingRow {
  readonly key: number;
  readonly kind: Ending['kind'];
  readonly id: Uint8Array;
}

/** Endings in SQLite: rows that every process on the file reads. */
export interface EmbeddedEndings extends EndingFeed {
  /** Notes an ending inside the transaction that brings it about; watchers are told once it is on disk. */
  add(ending: Ending): void;
  close(): void;
}

export function createEmbeddedEndings(db: DatabaseSyncInstance, nowMs: () => number): EmbeddedEndings {
  const insert = db.prepare('INSERT INTO endings (kind, id, expires_at_ms) VALUES (?, ?, ?)');
  const readLast = db.prepare('SELECT coalesce(max(seq), 0) AS last FROM sqlite_sequence WHERE name = ?');
  const readSince = db.prepare('SELECT key, kind, id FROM endings WHERE key > ? ORDER BY key');
  const watchers = new Set<EndingWatcher>();
  const readLastKey = (): number => (readLast.get('endings') as { last: number }).last;
  let lastKey = readLastKey();

  const look = (): void => {
    let newestKey: number;
    let rows: readonly EndingRow[];
    try {
      newestKey = readLastKey();
      if (newestKey === lastKey) return;
      rows = readSince.all(lastKey) as EndingRow[];
    } catch {
      // A look that fails is made up for by the next one.
      return;
    }
    newestKey = rows.at(-1)?.key ?? newestKey;
    // A process that slept for long finds rows missing: they were swept.
    if (rows.length < newestKey - lastKey) watchers.forEach((watcher) => watcher.onGap());
    lastKey = newestKey;
    for (const { kind, id } of rows) {
      for (const watcher of watchers) watcher.onEnding({ kind, id: toText(id) });
    }
  };
  const timer = setInterval(() => {
    if (db.isOpen && !db.isTransaction) look();
  }, WATCH_EVERY_MS);
  timer.unref();

  return {
    add: ({ kind, id }) => {
      insert.run(kind, toBlob(id), nowMs() + KEPT_MS);
      // In the turn after the commit.
      setImmediate(() => {
        if (db.isOpen) look();
      });
    },
    watch: (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    close: () => clearInterval(timer),
  };
}
