import type { Collection } from './ports.ts';

/** The channel of document changes; a message is a collection's name. */
export const CHANGED_CHANNEL = 'cs:changed';
/** The channel of endings; a message is `<kind> <id>`. */
export const ENDED_CHANNEL = 'cs:ended';
/** How many changes each collection had. Bears one hash tag with the documents, as what one script writes must on a cluster. */
export const CHANGES_KEY = 'cs:{docs}:changes';

/** A string: `<identity id> <incarnation> <body>`. */
export const toSessionKey = (tag: string, key: string): string => `cs:{${tag}}:ses:${key}`;
/** A string: `<attempt id> <time of the first use in ms>`. */
export const toReplayKey = (tag: string, key: string): string => `cs:{${tag}}:${key}`;
/** A hash: `n` incarnation, `c` conversation, `u` active until (ms), `o` owner, `k` whether kept, `b` body. */
export const toIdentityKey = (id: string): string => `cs:idn:${id}`;
/** A sorted set: the ids of an owner's kept identities, all of one score, so in the order of their bytes. */
export const toOwnerKey = (owner: string): string => `cs:idns:${owner}`;
/** A list of messages. */
export const toMessagesKey = (conversation: string): string => `cs:msg:${conversation}`;
export const toTicketKey = (key: string): string => `cs:tkt:${key}`;
/** A hash from id to document. */
export const toCollectionKey = (collection: Collection): string => `cs:{docs}:${collection}`;

/** The same names for scripts that learn ids on their way, which a script on a cluster could not use. */
export const LUA_KEYS = `
  local function identity_key(id) return 'cs:idn:' .. id end
  local function owner_key(owner) return 'cs:idns:' .. owner end
  local function messages_key(conversation) return 'cs:msg:' .. conversation end
  local function ended(kind, id) redis.call('PUBLISH', '${ENDED_CHANNEL}', kind .. ' ' .. id) end
`;
