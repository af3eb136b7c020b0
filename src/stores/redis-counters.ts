import { sha256Hex } from '../core/secret.ts';
import { AppError } from '../core/errors.ts';
import type { CounterStore } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { COUNT, GIVE_BACK } from './redis-counter-script.ts';
import { toCounterKey } from './redis-keys.ts';

/** Counts in Redis: a number each, that goes with its window. */
export function createRedisCounters(connection: RedisConnection): CounterStore {
  return {
    add: async (key, windowMs) => {
      // A hash: whatever somebody writes into a header field, the name has one length.
      const reply = await connection.ask(COUNT, [toCounterKey(sha256Hex(key))], [Math.ceil(windowMs)]);
      const [count, leftMs] = Array.isArray(reply) ? (reply as unknown[]) : [];
      if (typeof count !== 'number' || typeof leftMs !== 'number') {
        throw new AppError('store_unavailable', { detail: 'redis gave an unknown answer' });
      }
      return { count, leftMs };
    },
    giveBack: async (key) => {
      await connection.ask(GIVE_BACK, [toCounterKey(sha256Hex(key))], []);
    },
  };
}
