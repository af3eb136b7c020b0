import { createScript } from './redis-script.ts';

/**
 * One write of a document. KEYS: the collection's hash, the hash of change counts. ARGV: collection, id, expected
 * revision (0: must not exist, -1: delete), body, channel. A value is its revision, a line feed, the body.
 */
export const WRITE_DOCUMENT = createScript(`
  local value = redis.call('HGET', KEYS[1], ARGV[2])
  local expected = tonumber(ARGV[3])
  if expected == -1 then
    if not value then return 0 end
    redis.call('HDEL', KEYS[1], ARGV[2])
  else
    local revision = value and tonumber(string.match(value, '^%d+')) or 0
    if revision ~= expected then return 0 end
    redis.call('HSET', KEYS[1], ARGV[2], string.format('%d', revision + 1) .. '\\n' .. ARGV[4])
  end
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
  redis.call('PUBLISH', ARGV[5], ARGV[1])
  return 1
`);
