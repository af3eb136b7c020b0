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
 * One exchange. KEYS: session, then, where there is a jti, replay record and the record's former formats. ARGV: what has one form, with
 * spaces between (deadline on the server's clock, the attempt's mark and id, life of session and of record, reuse window, life of the conversation, all in
 * ms; three flags: kept, may create, needs proof; the incarnation); session body; the app that must be there, or nothing; owner, body, id and
 * conversation of the identity; where something is to be merged the key of the proof's session, and the ids to merge.
 * A record is the attempt's mark; where there is a reuse window it is the attempt's id and the time of the first use.
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
  local call = redis.call
  local deadline, mark, attempt, session_ms, record_ms, window_ms, active_ms, is_kept, may_create, needs_proof, incarnation =
    string.match(ARGV[1], '^(%d+) (%d+) (%S+) (%d+) (%d+) (%d+) (%d+) ([01])([01])([01]) (%S+)$')
  local id, conversation = ARGV[6], ARGV[7]
  if not deadline then return redis.error_reply('ERR arguments of an exchange that cannot be read') end
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if now > tonumber(deadline) then return 'late' end
  if ARGV[3] ~= '' and call('HEXISTS', '${toCollectionKey('apps')}', ARGV[3]) == 0 then return 'appless' end

  for i = 3, #KEYS do
    if call('EXISTS', KEYS[i]) == 1 then return 'replayed' end
  end
  local record = #KEYS > 1 and call('GET', KEYS[2])
  if record then
    local claimed_by, first = string.match(record, '^(%S+) (%d+)$')
    local window = tonumber(window_ms)
    local session = window > 0 and first and now - tonumber(first) <= window and find(KEYS[1])
    if not session then return 'replayed' end
    if claimed_by ~= '-' then call('SET', KEYS[2], '- ' .. first, 'XX', 'KEEPTTL') end
    return {'reused', session.body}
  end

  local identity = identity_key(id)
  local me = call('HMGET', identity, 'n', 'c', 'u')
  if not me[1] and may_create == '0' then return 'unknown' end
  local other
  for i = 9, #ARGV do
    local found = ARGV[i] ~= id and call('HMGET', identity_key(ARGV[i]), 'n', 'c', 'u')
    if found and found[1] then
      other = { id = ARGV[i], incarnation = found[1], conversation = found[2], until_ms = tonumber(found[3]) }
      break
    end
  end
  if other and needs_proof == '1' then
    local proof = ARGV[8] ~= '' and find(ARGV[8])
    if not proof or proof.id ~= other.id or proof.incarnation ~= other.incarnation then return 'unproven' end
  end

  local claim = window_ms == '0' and mark or attempt .. string.format(' %.0f', now)
  if #KEYS > 1 and not call('SET', KEYS[2], claim, 'NX', 'PX', record_ms) then return 'replayed' end
  local until_ms = now + tonumber(active_ms)
  local new_conversation = conversation
  local is_active = me[1] and tonumber(me[3]) > now
  local is_taken_over = other and other.until_ms > now
  if me[1] then incarnation, conversation = me[1], me[2] end
  if is_active then until_ms = math.max(until_ms, tonumber(me[3])) end
  if me[1] and (is_taken_over or not is_active) then
    call('DEL', messages_key(conversation))
    if is_active then ended('conversation', conversation) end
    conversation = new_conversation
  end
  if is_taken_over then conversation = other.conversation end
  if other then remove_identity(other.id, is_taken_over) end
  local ends = string.format('%.0f', until_ms)
  if is_active and conversation == me[2] then
    call('HSET', identity, 'u', ends)
  elseif me[1] then
    call('HSET', identity, 'c', conversation, 'u', ends)
  else
    call('HSET', identity, 'n', incarnation, 'c', conversation, 'u', ends, 'o', ARGV[4], 'k', is_kept, 'b', ARGV[5])
    if is_kept == '1' then call('ZADD', owner_key(ARGV[4]), 0, id) end
  end
  if is_kept == '0' then call('PEXPIREAT', identity, ends) end
  if is_active or is_taken_over then call('PEXPIREAT', messages_key(conversation), ends) end
  call('SET', KEYS[1], id .. ' ' .. incarnation .. ' ' .. ARGV[2], 'PX', session_ms)
  return 'granted'
`,
);

/**
 * Takes back an exchange whose answer never came. KEYS: session, replay record. ARGV: the attempt's id and mark. A mark is one of few: it
 * says whose the record is together with the session, whose key is the attempt's own where bearers are random.
 */
export const UNDO = createScript(`
  local record = redis.call('GET', KEYS[2])
  local is_mine = record and string.sub(record, 1, #ARGV[1] + 1) == ARGV[1] .. ' '
  if record == ARGV[2] then is_mine = redis.call('EXISTS', KEYS[1]) == 1 end
  if not is_mine then return 0 end
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
