import type { Ending, IdentityStore, StoredIdentity } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { CREATE_IDENTITY, LIST_IDENTITIES, REMOVE_IDENTITY } from './redis-identity-scripts.ts';
import { toIdentityKey, toOwnerKey } from './redis-keys.ts';

type Fields = readonly [
  id: string,
  owner: string | null,
  isKept: string,
  body: string,
  conversation: string,
  activeUntilMs: string,
];

/** Identities in Redis: a hash each, and the kept ones of an app in a sorted set. */
export function createRedisIdentities(connection: RedisConnection, onEnded: (ending: Ending) => void): IdentityStore {
  return {
    create: async ({ id, owner, body, incarnation, conversation }) =>
      (await connection.ask(
        CREATE_IDENTITY,
        [toIdentityKey(id), toOwnerKey(owner)],
        [id, owner, body, incarnation, conversation],
      )) === 1,
    get: async (id) => {
      const fields = await connection.call((client) => client.hmget(toIdentityKey(id), 'o', 'k', 'b', 'c', 'u'));
      return fields[0] === null ? undefined : toIdentity([id, ...fields] as unknown as Fields);
    },
    list: async (owner, after, limit) => {
      const found = await connection.ask(LIST_IDENTITIES, [toOwnerKey(owner)], [`(${after}`, limit]);
      return (found as Fields[]).map(toIdentity);
    },
    remove: async (id) => {
      const isRemoved = (await connection.ask(REMOVE_IDENTITY, [toIdentityKey(id)], [id])) === 1;
      // This process knows at once, without waiting for its own publication: what it acknowledged, it obeys.
      if (isRemoved) onEnded({ kind: 'identity', id });
      return isRemoved;
    },
  };
}

function toIdentity([id, owner, isKept, body, conversation, activeUntilMs]: Fields): StoredIdentity {
  return {
    id,
    owner: owner ?? '',
    isKept: isKept === '1',
    body,
    conversation,
    activeUntilMs: Number(activeUntilMs),
  };
}
