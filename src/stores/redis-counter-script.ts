import { createScript } from './redis-script.ts';

/** KEYS: the count. ARGV: the window in ms. @returns the count and what is left of the window */
export const COUNT = createScript(`
  local count = redis.call('INCR', KEYS[1])
  if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
  return {count, redis.call('PTTL', KEYS[1])}
`);

/** KEYS: the count. Never below nothing, and never a count without a window. */
export const GIVE_BACK = createScript(`
  local count = tonumber(redis.call('GET', KEYS[1]) or 0)
  if count > 0 then redis.call('DECR', KEYS[1]) end
  return 0
`);
