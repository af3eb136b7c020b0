import type { TicketStore } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { toTicketKey } from './redis-keys.ts';

/** Tickets in Redis: a string each, taken away by the command that reads it. */
export function createRedisTickets(connection: RedisConnection): TicketStore {
  return {
    put: async (key, body, expiresInMs) => {
      await connection.call((client) => client.set(toTicketKey(key), body, 'PX', Math.ceil(expiresInMs)));
    },
    take: async (key) => (await connection.call((client) => client.getdel(toTicketKey(key)))) ?? undefined,
  };
}
