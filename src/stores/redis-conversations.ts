import type { ConversationStore } from './ports.ts';
import type { RedisConnection } from './redis-connection.ts';
import { APPEND_MESSAGES } from './redis-identity-scripts.ts';
import { toIdentityKey, toMessagesKey } from './redis-keys.ts';

/** Conversations in Redis: a list each. */
export function createRedisConversations(connection: RedisConnection): ConversationStore {
  return {
    append: async (identityId, conversation, messages, keep) => {
      const keys = [toIdentityKey(identityId), toMessagesKey(conversation)];
      await connection.ask(APPEND_MESSAGES, keys, [conversation, keep, ...messages]);
    },
    read: (conversation) => connection.call((client) => client.lrange(toMessagesKey(conversation), 0, -1)),
  };
}
