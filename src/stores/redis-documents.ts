import { AppError } from '../core/errors.ts';
import type { Collection, DocumentStore, StoredDocument } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { WRITE_DOCUMENT } from './redis-document-script.ts';
import { CHANGED_CHANNEL, CHANGES_KEY, toCollectionKey } from './redis-keys.ts';
import type { RedisSubscriber } from './redis-subscriber.ts';

/** How often a process looks for changes whose publication it may have missed, in milliseconds. */
const WATCH_EVERY_MS = 2_000;
const MUST_NOT_EXIST = 0;
const DELETE = -1;

/** Documents in Redis: a hash a collection; changes are published, and counted for whoever missed the publication. */
export function createRedisDocuments(
  connection: RedisConnection,
  subscriber: RedisSubscriber,
): { store: DocumentStore; close: () => void } {
  const timers = new Set<NodeJS.Timeout>();
  const watchers = new Set<(changed: string) => void>();
  subscriber.on(CHANGED_CHANNEL, (changed) => watchers.forEach((tell) => tell(changed)));

  const write = async (collection: Collection, id: string, expected: number, body = ''): Promise<boolean> => {
    connection.checkUsable();
    const args = [collection, id, expected, body, CHANGED_CHANNEL];
    const reply = await connection.within(
      connection.runScript(WRITE_DOCUMENT, [toCollectionKey(collection), CHANGES_KEY], args),
    );
    // This process knows at once, without waiting for its own publication: what it acknowledged, it obeys.
    if (reply === 1) watchers.forEach((tell) => tell(collection));
    return reply === 1;
  };

  const watch = (collection: Collection, onChange: () => void): (() => void) => {
    let seen: string | null | undefined;
    const tell = (changed: string): void => {
      if (changed === collection) onChange();
    };
    const check = async (): Promise<void> => {
      const count = await connection.call((client) => client.hget(CHANGES_KEY, collection));
      // The first count is a change, too: whoever watches may have read before the server was reached.
      if (count !== seen) onChange();
      seen = count;
    };
    const checkQuietly = (): void => void check().catch(() => undefined);
    const stopListening = subscriber.onGap(onChange);
    watchers.add(tell);
    const timer = setInterval(checkQuietly, WATCH_EVERY_MS);
    timer.unref();
    timers.add(timer);
    checkQuietly();
    return () => {
      clearInterval(timer);
      timers.delete(timer);
      watchers.delete(tell);
      stopListening();
    };
  };

  return {
    store: {
      list: async (collection) => {
        const values = await connection.call((client) => client.hgetall(toCollectionKey(collection)));
        return Object.entries(values).map(([id, value]) => parseDocument(id, value));
      },
      get: async (collection, id) => {
        const value = await connection.call((client) => client.hget(toCollectionKey(collection), id));
        return value === null ? undefined : parseDocument(id, value);
      },
      insert: (collection, id, body) => write(collection, id, MUST_NOT_EXIST, body),
      // A number below the first revision means something else to the script.
      update: async (collection, id, body, revision) => revision >= 1 && write(collection, id, revision, body),
      remove: (collection, id) => write(collection, id, DELETE),
      watch,
    },
    close: () => timers.forEach((timer) => clearInterval(timer)),
  };
}

function parseDocument(id: string, value: string): StoredDocument {
  const end = value.indexOf('\n');
  const revision = Number(value.slice(0, end));
  if (end < 1 || !Number.isSafeInteger(revision)) {
    throw new AppError('store_unavailable', { detail: `redis holds a document that cannot be read: ${id}` });
  }
  return { id, revision, body: value.slice(end + 1) };
}
