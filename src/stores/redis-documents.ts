import { AppError } from '../core/errors.ts';
import type { Collection, DocumentStore, StoredDocument } from './ports.ts';
import { describe, type RedisConnection } from './redis-connection.ts';
import { WRITE_DOCUMENT } from './redis-scripts.ts';

/** How often a process looks for changes whose publication it may have missed, in milliseconds. */
const WATCH_EVERY_MS = 2_000;
const CHANNEL = 'cs:changed';
/** Both keys of a write bear one hash tag, for Redis Cluster. */
const CHANGES_KEY = 'cs:{docs}:changes';
const MUST_NOT_EXIST = 0;
const DELETE = -1;

const toKey = (collection: Collection): string => `cs:{docs}:${collection}`;

/** Documents in Redis: a hash a collection; changes are published, and counted for whoever missed the publication. */
export function createRedisDocuments(
  connection: RedisConnection,
  onProblem: (detail: string) => void,
): { store: DocumentStore; close: () => void } {
  const subscriber = connection.client.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null });
  subscriber.on('error', (error: unknown) => onProblem(`redis subscriber: ${describe(error)}`));
  const timers = new Set<NodeJS.Timeout>();
  const watchers = new Set<(changed: string) => void>();
  subscriber.on('message', (_channel: string, changed: string) => watchers.forEach((tell) => tell(changed)));

  const write = async (collection: Collection, id: string, expected: number, body = ''): Promise<boolean> => {
    connection.checkUsable();
    const args = [collection, id, expected, body, CHANNEL];
    const reply = await connection.within(connection.runScript(WRITE_DOCUMENT, [toKey(collection), CHANGES_KEY], args));
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
    subscriber.subscribe(CHANNEL).catch((error: unknown) => onProblem(`redis subscriber: ${describe(error)}`));
    // A new subscription may have missed anything.
    subscriber.on('ready', onChange);
    watchers.add(tell);
    const timer = setInterval(checkQuietly, WATCH_EVERY_MS);
    timer.unref();
    timers.add(timer);
    checkQuietly();
    return () => {
      clearInterval(timer);
      timers.delete(timer);
      watchers.delete(tell);
      subscriber.off('ready', onChange);
    };
  };

  return {
    store: {
      list: async (collection) => {
        const values = await connection.call((client) => client.hgetall(toKey(collection)));
        return Object.entries(values).map(([id, value]) => parseDocument(id, value));
      },
      get: async (collection, id) => {
        const value = await connection.call((client) => client.hget(toKey(collection), id));
        return value === null ? undefined : parseDocument(id, value);
      },
      insert: (collection, id, body) => write(collection, id, MUST_NOT_EXIST, body),
      // A number below the first revision means something else to the script.
      update: async (collection, id, body, revision) => revision >= 1 && write(collection, id, revision, body),
      remove: (collection, id) => write(collection, id, DELETE),
      watch,
    },
    close: () => {
      timers.forEach((timer) => clearInterval(timer));
      subscriber.disconnect();
    },
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
