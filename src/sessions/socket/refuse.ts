import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';

import { ERRORS } from '../../core/errors.ts';
import { REFUSAL_GRACE_MS } from './limits.ts';

/**
 * Every answer to an upgrade that is not taken: it is sent on the connection itself, past Express. 401 says that a new
 * start is needed, 403 that it would not help.
 */
export const SOCKET_REFUSALS = {
  not_found: ERRORS.not_found,
  malformed: { status: 400, msg: 'the web-socket handshake cannot be read' },
  sid_refused: { status: 401, msg: 'this socket URL is unknown, used or expired' },
  session_over: { status: 401, msg: 'the session of this socket URL is over' },
  proof_refused: { status: 401, msg: 'nonce and token do not belong to this socket URL' },
  client_forbidden: ERRORS.client_forbidden,
  bot_forbidden: ERRORS.bot_forbidden,
  secure_rtm_required: { status: 403, msg: 'this client must open its sockets with a nonce; start again' },
  realtime_unavailable: ERRORS.realtime_unavailable,
  too_many_sockets: { status: 503, msg: 'too many sockets are open; try again' },
  too_many_upgrades: { status: 503, msg: 'too many sockets are asked for; try again' },
  stopping: { status: 503, msg: 'this server is being stopped; try again' },
  store_unavailable: ERRORS.store_unavailable,
  upstream_unavailable: ERRORS.upstream_unavailable,
  internal: ERRORS.internal,
} as const satisfies Record<string, { readonly status: number; readonly msg: string }>;

export type SocketRefusal = keyof typeof SOCKET_REFUSALS;

/** Header fields that belong to a status. */
const FIELDS: Readonly<Record<number, readonly string[]>> = {
  400: ['Sec-WebSocket-Version: 13'],
  401: ['WWW-Authenticate: Bearer realm="countersign"'],
  503: ['Retry-After: 1'],
};

/** Answers an upgrade with an HTTP answer in the seeds' shape and lets go of the connection. Never throws. */
export function refuseUpgrade(socket: Duplex, refusal: SocketRefusal): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, msg } = SOCKET_REFUSALS[refusal];
  const body = JSON.stringify({ errors: [{ msg, code: status }] });
  const fields = [
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
    ...(FIELDS[status] ?? []),
  ];
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${fields.join('\r\n')}\r\n\r\n${body}`);
  // A connection that is closed on unread bytes takes the answer with it.
  socket.resume();
  const cut = setTimeout(() => socket.destroy(), REFUSAL_GRACE_MS);
  socket.once('close', () => clearTimeout(cut));
}
