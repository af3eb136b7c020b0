import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** How often a process looks whether another one changed something, in milliseconds. */
const WATCH_EVERY_MS = 250;

/** Counts of changes in SQLite, by which the processes on one file learn of each other's. */
export interface EmbeddedChanges {
  /** Counts a change of `subject` inside the transaction that makes it. */
  count(subject: string): void;
  /** Lets the watchers of this process look now, once the change is on disk. */
  tell(subject: string): void;
  /** Calls `onChange` soon after any process counted a change. @returns a function that ends it */
  watch(subject: string, onChange: () => void): () => void;
  close(): void;
}

export function createEmbeddedChanges(db: DatabaseSyncInstance): EmbeddedChanges {
  const countChange = db.prepare(
    'INSERT INTO changes VALUES (?, 1) ON CONFLICT (collection) DO UPDATE SET count = count + 1',
  );
  const readCount = db.prepare('SELECT count FROM changes WHERE collection = ?');
  const timers = new Set<NodeJS.Timeout>();
  const watchers = new Set<(changed: string) => void>();

  const changeCount = (subject: string): number =>
    (readCount.get(subject) as { count: number } | undefined)?.count ?? 0;
  // A look that fails is made up for by the next one.
  const readChangeCount = (subject: string): number | undefined => {
    try {
      return changeCount(subject);
    } catch {
      return undefined;
    }
  };

  return {
    count: (subject) => void countChange.run(subject),
    tell: (subject) => watchers.forEach((tell) => tell(subject)),
    watch: (subject, onChange) => {
      let seen = changeCount(subject);
      const check = (): void => {
        const count = readChangeCount(subject) ?? seen;
        if (count === seen) return;
        seen = count;
        onChange();
      };
      const tell = (changed: string): void => {
        if (changed === subject) check();
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
    close: () => timers.forEach((timer) => clearInterval(timer)),
  };
}
