import { LUA_KEYS } from './redis-keys.ts';
import { createScript } from './redis-script.ts';
import { LUA_REMOVE_IDENTITY } from './redis-session-scripts.ts';

/** Stores a kept identity. KEYS: identity, its owner's. ARGV: id, owner, body, incarnation, conversation. */
export const CREATE_IDENTITY = createScript(`
  if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
  redis.call('HSET', KEYS[1], 'n', ARGV[4], 'c', ARGV[5], 'u', '0', 'o', ARGV[2], 'k', '1', 'b', ARGV[3])
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  return 1
`);

/** Kept identities of an owner. KEYS: the owner's. ARGV: the lower bound of the ids, how many. */
export const LIST_IDENTITIES = createScript(
  LUA_KEYS,
  `
  local found = {}
  for _, id in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
    local fields = redis.call('HMGET', identity_key(id), 'o', 'k', 'b', 'c', 'u')
    if fields[1] then found[#found + 1] = { id, unpack(fields) } end
  end
  return found
`,
);

/** Removes an identity. KEYS: identity. ARGV: id. */
export const REMOVE_IDENTITY = createScript(
  LUA_KEYS,
  LUA_REMOVE_IDENTITY,
  `
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  remove_identity(ARGV[1], false)
  return 1
`,
);

/**
 * Adds messages to an identity's conversation while it is going on. KEYS: identity, messages. ARGV: conversation, how many
 * to keep, the messages.
 * SECURITY: what was erased must not come back by an answer that was still on its way.
 */
export const APPEND_MESSAGES = createScript(`
  local identity = redis.call('HMGET', KEYS[1], 'c', 'u')
  if identity[1] ~= ARGV[1] then return 0 end
  for i = 3, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
  redis.call('LTRIM', KEYS[2], -tonumber(ARGV[2]), -1)
  redis.call('PEXPIREAT', KEYS[2], identity[2])
  return 1
`);
