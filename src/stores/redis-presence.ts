import type { Presence, PresenceStore } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { PRESENCE_CHANNEL, PRESENCE_INDEX_KEY, toPresenceKey } from './redis-keys.ts';
import { ANNOUNCE, LIST_PRESENCE, WITHDRAW } from './redis-presence-scripts.ts';
import type { RedisSubscriber } from './redis-subscriber.ts';

/** Presence in Redis: a string an owner that ends by itself, and an index of the owners. */
export function createRedisPresence(connection: RedisConnection, subscriber: RedisSubscriber): PresenceStore {
  const watchers = new Set<() => void>();
  subscriber.on(PRESENCE_CHANNEL, () => watchers.forEach((tell) => tell()));
  const keysOf = (owner: string): string[] => [toPresenceKey(owner), PRESENCE_INDEX_KEY];
  return {
    announce: async (owner, body, expiresInMs) => {
      await connection.ask(ANNOUNCE, keysOf(owner), [owner, body, Math.ceil(expiresInMs)]);
    },
    withdraw: async (owner) => {
      await connection.ask(WITHDRAW, keysOf(owner), [owner]);
    },
    list: async (prefix) => toPresences(await connection.ask(LIST_PRESENCE, [PRESENCE_INDEX_KEY], [prefix])),
    watch: (onChange) => {
      // Of its own, so that one function that watches twice is told twice, and ends once.
      const tell = (): void => onChange();
      const stopListening = subscriber.onGap(tell);
      watchers.add(tell);
      return () => {
        watchers.delete(tell);
        stopListening();
      };
    },
  };
}

function toPresences(reply: unknown): Presence[] {
  const texts = reply as readonly string[];
  return Array.from({ length: texts.length / 2 }, (_, index) => ({
    owner: texts[2 * index] ?? '',
    body: texts[2 * index + 1] ?? '',
  }));
}
