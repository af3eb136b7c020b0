import type { IncomingMessage } from 'node:http';

import { isHashOf } from '../../core/secret.ts';
import type { BearerSessions, LiveSession } from '../live-session.ts';
import { findSocketProblem, SOCKET_PATH, type SocketWish } from '../start.ts';
import type { SocketRefusal } from './refuse.ts';
import { parseSubprotocols, readProof } from './subprotocols.ts';
import type { Tickets } from './tickets.ts';

/** The key of a handshake: 16 bytes as base64 (RFC 6455 §4.1). */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSIONS: readonly (string | undefined)[] = ['13', '8'];

/** A socket that may be opened, or why not. */
export type Admission =
  | { readonly kind: 'admitted'; readonly live: LiveSession; readonly wish: SocketWish }
  | { readonly kind: 'refused'; readonly refusal: SocketRefusal };

export interface AdmitDeps {
  readonly tickets: Pick<Tickets, 'take'>;
  readonly bearers: Pick<BearerSessions, 'find' | 'isTokenOf'>;
}

const refused = (refusal: SocketRefusal): Admission => ({ kind: 'refused', refusal });

/**
 * Checks an upgrade: first what needs no store, so that a request that cannot succeed burns no ticket.
 * SECURITY: the `sid` is the whole proof, and no cookie is looked at: a page of another origin has nothing that a browser
 * would add for it, so that the origin need not be checked.
 * @throws AppError `store_unavailable`, `internal`
 */
export async function admit(req: IncomingMessage, { tickets, bearers }: AdmitDeps): Promise<Admission> {
  const [path, query = ''] = splitTarget(req.url ?? '');
  const { 'sec-websocket-key': key = '', 'sec-websocket-version': version } = req.headers;
  if (path !== SOCKET_PATH) return refused('not_found');
  const subprotocols = parseSubprotocols(req.headers['sec-websocket-protocol']);
  if (req.method !== 'GET' || !KEY.test(key) || !VERSIONS.includes(version) || !subprotocols)
    return refused('malformed');
  // Clients add members of their own; which of two `sid`s is meant nobody can know.
  const [sid, ...others] = new URLSearchParams(query).getAll('sid');
  const ticket = sid === undefined || others.length > 0 ? undefined : await tickets.take(sid);
  if (ticket === undefined) return refused('sid_refused');

  const live = await bearers.find(ticket.session);
  if (live === undefined) return refused('session_over');
  const wish = { botId: ticket.botId, isSecure: ticket.nonceHash !== undefined };
  const forbidden = findSocketProblem(live.app, wish);
  if (forbidden) return refused(forbidden);
  if (ticket.nonceHash !== undefined) {
    const proof = readProof(subprotocols);
    // SECURITY: the nonce first, it is cheap; then the signature, and that the token is this very user's.
    if (!proof || !isHashOf(proof.nonce, ticket.nonceHash)) return refused('proof_refused');
    if (!(await bearers.isTokenOf(proof.token, live))) return refused('proof_refused');
  }
  return { kind: 'admitted', live, wish };
}

function splitTarget(target: string): readonly string[] {
  const at = target.indexOf('?');
  return at === -1 ? [target] : [target.slice(0, at), target.slice(at + 1)];
}
