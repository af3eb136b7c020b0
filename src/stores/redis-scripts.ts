import { createHash } from 'node:crypto';

/** A Lua script and the SHA-1 under which Redis knows it once it is loaded. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/**
 * One exchange. KEYS: session, replay record, the record's former formats. ARGV: deadline on the server's clock (ms),
 * attempt id, session body, session life (ms), record life (ms), reuse window (ms).
 * SECURITY: the deadline comes first. A paused server runs a queued script after its caller was told 503.
 * A record whose session somebody had again bears no attempt any more: undoing the first one must not end that session.
 */
export const EXCHANGE = script(`
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if now > tonumber(ARGV[1]) then return {'late'} end
  if #KEYS > 1 then
    for i = 3, #KEYS do
      if redis.call('EXISTS', KEYS[i]) == 1 then return {'replayed'} end
    end
    if not redis.call('SET', KEYS[2], ARGV[2] .. string.format(' %.0f', now), 'NX', 'PX', ARGV[5]) then
      local window = tonumber(ARGV[6])
      if window > 0 then
        local id, first = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+)$')
        local body = first and now - tonumber(first) <= window and redis.call('GET', KEYS[1])
        if body then
          if id ~= '-' then redis.call('SET', KEYS[2], '- ' .. first, 'XX', 'KEEPTTL') end
          return {'reused', body}
        end
      end
      return {'replayed'}
    end
  end
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  return {'granted'}
`);

/** Takes back an exchange whose answer never came. KEYS: session, replay record. ARGV: attempt id. */
export const UNDO = script(`
  local record = redis.call('GET', KEYS[2]) or ''
  if string.sub(record, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
  return redis.call('DEL', KEYS[1], KEYS[2])
`);

/**
 * One write of a document. KEYS: the collection's hash, the hash of change counts. ARGV: collection, id, expected
 * revision (0: must not exist, -1: delete), body, channel. A value is its revision, a line feed, the body.
 */
export const WRITE_DOCUMENT = script(`
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

/** Every script, for loading on each new connection. */
export const SCRIPTS: readonly Script[] = [EXCHANGE, UNDO, WRITE_DOCUMENT];
