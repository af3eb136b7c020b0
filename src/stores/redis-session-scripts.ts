import { LUA_KEYS, toCollectionKey } from './redis-keys.ts';
import { createScript } from './redis-script.ts';

/** A session, if its identity is still the one that it was made for. */
const LUA_FIND = `
  local function find(key)
    local value = redis.call('GET', key)
    if not value then return nil end
    local id, incarnation, body = string.match(value, '^(%S+) (%S+) (.*)$')
    if not id then return nil end
    local identity = redis.call('HMGET', identity_key(id), 'n', 'o', 'k', 'b', 'c')
    if identity[1] ~= incarnation then return nil end
    return { id = id, incarnation = incarnation, body = body, identity = identity }
  end
`;

/** Removes an identity and says so. Its messages go too, unless its conversation goes on elsewhere. */
export const LUA_REMOVE_IDENTITY = `
  local function remove_identity(id, is_continued)
    local was = redis.call('HMGET', identity_key(id), 'c', 'o', 'k')
    redis.call('DEL', identity_key(id))
    if was[3] == '1' then redis.call('ZREM', owner_key(was[2]), id) end
    if not is_continued then redis.call('DEL', messages_key(was[1])) end
    ended('identity', id)
  end
`;

/**
 * One exchange. KEYS: session, then, where there is a jti, replay record and the record's former formats. ARGV: deadline on
 * the server's clock (ms), attempt id, session body, session life (ms), record life (ms), reuse window (ms); identity id,
 * owner, kept (1 or 0), body, incarnation, conversation, may create (1 or 0), active (ms); needs proof (1 or 0), key of
 * the proof's session; the app that must be there, or nothing; the ids to merge.
 * Everything is looked at before anything is written: what is refused leaves no trace.
 * SECURITY: the first write is the one that elects the winner. The deadline comes first of all. A paused server runs a queued script after its caller was told 503.
 * A server that was emptied has no replay records, and no apps either: it grants nothing to a process that still knows them.
 * A record whose session somebody had again bears no attempt any more: undoing the first one must not end that session.
 */
export const EXCHANGE = createScript(
  LUA_KEYS,
  LUA_FIND,
  LUA_REMOVE_IDENTITY,
  `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if now > tonumber(ARGV[1]) then return {'late'} end
  if ARGV[17] ~= '' and redis.call('HEXISTS', '${toCollectionKey('apps')}', ARGV[17]) == 0 then return {'appless'} end
  local id, owner, is_kept, body = ARGV[7], ARGV[8], ARGV[9], ARGV[10]

  for i = 3, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then return {'replayed'} end
  end
  local record = #KEYS > 1 and redis.call('GET', KEYS[2])
  if record then
    local attempt, first = string.match(record, '^(%S+) (%d+)$')
    local window = tonumber(ARGV[6])
    local session = window > 0 and first and now - tonumber(first) <= window and find(KEYS[1])
    if not session then return {'replayed'} end
    if attempt ~= '-' then redis.call('SET', KEYS[2], '- ' .. first, 'XX', 'KEEPTTL') end
    return {'reused', session.body}
  end

  local me = redis.call('HMGET', identity_key(id), 'n', 'c', 'u')
  if not me[1] and ARGV[13] == '0' then return {'unknown'} end
  local other
  for i = 18, #ARGV do
    local found = ARGV[i] ~= id and redis.call('HMGET', identity_key(ARGV[i]), 'n', 'c', 'u')
    if found and found[1] then
      other = { id = ARGV[i], incarnation = found[1], conversation = found[2], until_ms = tonumber(found[3]) }
      break
    end
  end
  if other and ARGV[15] == '1' then
    local proof = ARGV[16] ~= '' and find(ARGV[16])
    if not proof or proof.id ~= other.id or proof.incarnation ~= other.incarnation then return {'unproven'} end
  end

  local claim = ARGV[2] .. string.format(' %.0f', now)
  if #KEYS > 1 and not redis.call('SET', KEYS[2], claim, 'NX', 'PX', ARGV[5]) then return {'replayed'} end
  local incarnation, conversation, until_ms = me[1] or ARGV[11], me[2] or ARGV[12], now + tonumber(ARGV[14])
  local is_active = me[1] and tonumber(me[3]) > now
  local is_taken_over = other and other.until_ms > now
  if is_active then until_ms = math.max(until_ms, tonumber(me[3])) end
  if me[1] and (is_taken_over or not is_active) then
    redis.call('DEL', messages_key(conversation))
    if is_active then ended('conversation', conversation) end
    conversation = ARGV[12]
  end
  if is_taken_over then conversation = other.conversation end
  if other then remove_identity(other.id, is_taken_over) end
  local ends = string.format('%.0f', until_ms)
  if me[1] then
    redis.call('HSET', identity_key(id), 'c', conversation, 'u', ends)
  else
    redis.call('HSET', identity_key(id), 'n', incarnation, 'c', conversation, 'u', ends, 'o', owner, 'k', is_kept, 'b', body)
    if is_kept == '1' then redis.call('ZADD', owner_key(owner), 0, id) end
  end
  if is_kept == '0' then redis.call('PEXPIREAT', identity_key(id), ends) end
  redis.call('PEXPIREAT', messages_key(conversation), ends)
  redis.call('SET', KEYS[1], id .. ' ' .. incarnation .. ' ' .. ARGV[3], 'PX', ARGV[4])
  return {'granted'}
`,
);

/** Takes back an exchange whose answer never came. KEYS: session, replay record. ARGV: attempt id. */
export const UNDO = createScript(`
  local record = redis.call('GET', KEYS[2]) or ''
  if string.sub(record, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
  return redis.call('DEL', KEYS[1], KEYS[2])
`);

/** A live session. KEYS: session. */
export const FIND = createScript(
  LUA_KEYS,
  LUA_FIND,
  `
  local session = find(KEYS[1])
  return session and { session.body, session.id, unpack(session.identity, 2) } or false
`,
);

/** Deletes those sessions whose identity is gone. KEYS: sessions. */
export const PURGE = createScript(
  LUA_KEYS,
  LUA_FIND,
  `
  for _, key in ipairs(KEYS) do
    if not find(key) then redis.call('DEL', key) end
  end
  return 1
`,
);

/** Ends a session. KEYS: session. ARGV: its id. */
export const REVOKE = createScript(
  LUA_KEYS,
  `
  if redis.call('DEL', KEYS[1]) == 0 then return 0 end
  ended('session', ARGV[1])
  return 1
`,
);
