import type { Collection } from './ports.ts';

/** The channel of document changes; a message is a collection's name. */
export const CHANGED_CHANNEL = 'cs:changed';
/** The channel of endings; a message is `<kind> <id>`. */
export const ENDED_CHANNEL = 'cs:ended';
/** The channel of presence; a message is the owner. */
export const PRESENCE_CHANNEL = 'cs:presence';
/** How many changes each collection had. Bears one hash tag with the documents, as what one script writes must on a cluster. */
export const CHANGES_KEY = 'cs:{docs}:changes';

const SHORT_PREFIX = 'jti:v2:';
const SHORT_NAME = /^jti:v2:[\w-]{20}$/;

/** A string: `<identity id> <incarnation> <body>`. */
export const toSessionKey = (tag: string, key: string): string => `cs:{${tag}}:ses:${key}`;
/**
 * A string: the attempt's mark, a small number; where there is a reuse window `<attempt id> <time of the first use in ms>`, or `- <time>` once it was had again. A name of the present
 * form makes a key of 28 characters, the most that fit into 32 bytes of Redis' memory.
 */
export const toReplayKey = (tag: string, key: string): string =>
  SHORT_NAME.test(key) ? `cs{${tag}}${key.slice(SHORT_PREFIX.length)}` : `cs:{${tag}}:${key}`;
/** A hash: `n` incarnation, `c` conversation, `u` active until (ms), `o` owner, `k` whether kept, `b` body. */
export const toIdentityKey = (id: string): string => `cs:idn:${id}`;
/** A sorted set: the ids of an owner's kept identities, all of one score, so in the order of their bytes. */
export const toOwnerKey = (owner: string): string => `cs:idns:${owner}`;
/** A list of messages. */
export const toMessagesKey = (conversation: string): string => `cs:msg:${conversation}`;
export const toTicketKey = (key: string): string => `cs:tkt:${key}`;
export const toClaimKey = (key: string): string => `cs:clm:${key}`;
export const toCounterKey = (hash: string): string => `cs:cnt:${hash}`;
/** A stream: `b` is a line of the audit trail. */
export const AUDIT_KEY = 'cs:audit';
/** A hash from id to document. */
export const toCollectionKey = (collection: Collection): string => `cs:{docs}:${collection}`;

/** A sorted set: all owners, all of one score, so in the order of their bytes. */
export const PRESENCE_INDEX_KEY = 'cs:{presence}';
/** A string: what the owner says. Bears one hash tag with the index. */
export const toPresenceKey = (owner: string): string => `cs:{presence}:${owner}`;

/** The same names for scripts that learn ids on their way, which a script on a cluster could not use. */
export const LUA_KEYS = `
  local function identity_key(id) return 'cs:idn:' .. id end
  local function owner_key(owner) return 'cs:idns:' .. owner end
  local function messages_key(conversation) return 'cs:msg:' .. conversation end
  local function presence_key(owner) return 'cs:{presence}:' .. owner end
  local function ended(kind, id) redis.call('PUBLISH', '${ENDED_CHANNEL}', kind .. ' ' .. id) end
`;
