import type { RedisConnection } from './redis-connection.ts';
import { toMessagesKey, toSessionKey } from './redis-keys.ts';
import type { SealedRecords } from './sealed-records.ts';

/** Keys that one step looks at. */
const LOOKED_AT_ONCE = 200;

/** Counts in Redis, in steps that hold nobody up. A key that is met twice counts twice. */
export function createRedisSealed(connection: RedisConnection): SealedRecords {
  const countIn = async (pattern: string, read: (keys: string[]) => Promise<string[]>, marker: string) => {
    let cursor = '0';
    let found = 0;
    do {
      const at = cursor;
      const [next, keys] = await connection.call((client) =>
        client.scan(at, 'MATCH', pattern, 'COUNT', LOOKED_AT_ONCE),
      );
      if (keys.length > 0) found += (await read(keys)).filter((text) => text.includes(marker)).length;
      cursor = next;
    } while (cursor !== '0');
    return found;
  };
  const readSessions = async (keys: string[]): Promise<string[]> =>
    (await connection.call((client) => client.mget(keys))).filter((text) => text !== null);
  const readMessages = async (keys: string[]): Promise<string[]> => {
    const lists = await Promise.all(keys.map((key) => connection.call((client) => client.lrange(key, 0, -1))));
    return lists.flat();
  };
  return {
    count: async (marker) => ({
      sessions: await countIn(toSessionKey('*', '*'), readSessions, marker),
      messages: await countIn(toMessagesKey('*'), readMessages, marker),
    }),
  };
}
