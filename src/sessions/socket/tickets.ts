import { createToken } from '../../core/ids.ts';
import { sha256Hex } from '../../core/secret.ts';
import type { SessionName, TicketStore } from '../../stores/ports.ts';
import { TICKET_LIFETIME_MS } from './limits.ts';

/** 192 random bits: 32 characters, as published clients know it. */
const SID_BYTES = 24;
/** 256 random bits; base64url is safe in a subprotocol's name. */
const NONCE_BYTES = 32;

const SID = /^[\w-]{32}$/;

/** The right to open one socket. */
export interface Ticket {
  readonly session: SessionName;
  /** Empty where the client named none. */
  readonly botId: string;
  /** SHA-256 of the nonce that the socket must show, as hexadecimal. Absent: the socket shows nothing ("not secure RTM"). */
  readonly nonceHash?: string;
}

export interface Tickets {
  issue(
    session: SessionName,
    botId: string,
    isSecure: boolean,
  ): Promise<{ readonly sid: string; readonly nonce?: string }>;
  /** Takes a ticket away. @returns undefined where it was taken, expired or never was */
  take(sid: string): Promise<Ticket | undefined>;
}

/** SECURITY: neither `sid` nor nonce is stored: who reads the store opens no socket with it. */
export function createTickets(store: TicketStore): Tickets {
  return {
    issue: async ({ tag, key }, botId, isSecure) => {
      const sid = createToken(SID_BYTES);
      const nonce = isSecure ? createToken(NONCE_BYTES) : undefined;
      const ticket: Ticket = { session: { tag, key }, botId, ...(nonce && { nonceHash: sha256Hex(nonce) }) };
      await store.put(sha256Hex(sid), JSON.stringify(ticket), TICKET_LIFETIME_MS);
      return { sid, ...(nonce && { nonce }) };
    },
    take: async (sid) => {
      const body = SID.test(sid) ? await store.take(sha256Hex(sid)) : undefined;
      return body === undefined ? undefined : (JSON.parse(body) as Ticket);
    },
  };
}
