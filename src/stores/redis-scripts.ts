import { APPEND_MESSAGES, CREATE_IDENTITY, LIST_IDENTITIES, REMOVE_IDENTITY } from './redis-identity-scripts.ts';
import { COUNT, GIVE_BACK } from './redis-counter-script.ts';
import { WRITE_DOCUMENT } from './redis-document-script.ts';
import { ANNOUNCE, LIST_PRESENCE, WITHDRAW } from './redis-presence-scripts.ts';
import type { Script } from './redis-script.ts';
import { EXCHANGE, FIND, PURGE, REVOKE, UNDO } from './redis-session-scripts.ts';

/** Every script, for loading on each new connection. */
export const SCRIPTS: readonly Script[] = [
  EXCHANGE,
  UNDO,
  FIND,
  REVOKE,
  PURGE,
  CREATE_IDENTITY,
  LIST_IDENTITIES,
  REMOVE_IDENTITY,
  APPEND_MESSAGES,
  WRITE_DOCUMENT,
  ANNOUNCE,
  WITHDRAW,
  LIST_PRESENCE,
  COUNT,
  GIVE_BACK,
];
