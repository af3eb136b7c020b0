import { LUA_KEYS, PRESENCE_CHANNEL } from './redis-keys.ts';
import { createScript } from './redis-script.ts';

/** Replaces what an owner says. KEYS: its key, the index. ARGV: owner, body, life in ms. */
export const ANNOUNCE = createScript(`
  local former = redis.call('GET', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  if former ~= ARGV[2] then redis.call('PUBLISH', '${PRESENCE_CHANNEL}', ARGV[1]) end
  return 1
`);

/** KEYS: the owner's key, the index. ARGV: owner. */
export const WITHDRAW = createScript(`
  redis.call('ZREM', KEYS[2], ARGV[1])
  if redis.call('DEL', KEYS[1]) == 1 then redis.call('PUBLISH', '${PRESENCE_CHANNEL}', ARGV[1]) end
  return 1
`);

/**
 * Owner, body, owner, body … of all that begin with a prefix. KEYS: the index. ARGV: the prefix. Owners whose time is over leave
 * the index. No UTF-8 holds the byte 255.
 */
export const LIST_PRESENCE = createScript(
  LUA_KEYS,
  `
  local found = {}
  local owners = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1], '(' .. ARGV[1] .. '\\255')
  for _, owner in ipairs(owners) do
    local body = redis.call('GET', presence_key(owner))
    if body then
      found[#found + 1] = owner
      found[#found + 1] = body
    else
      redis.call('ZREM', KEYS[1], owner)
    end
  end
  return found
`,
);
