import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

import { AppError, type ErrorCode, ERRORS, toPublicMessage } from '../core/errors.ts';
import type { ResetCode } from '../tunnel/codes.ts';

/** By which header field the faults of gateway and connector can be told from those of the application. */
export const ERROR_FIELD = 'X-Connector-Error';

const REALM = 'Basic realm="countersign gateway", charset="UTF-8"';

/** What a stream that was cut before it was answered means to the caller. */
const RESET_ERRORS: Readonly<Record<ResetCode, ErrorCode>> = {
  refused: 'connector_unavailable',
  cancelled: 'application_failed',
  unreachable: 'application_unreachable',
  backend_failed: 'application_failed',
  timed_out: 'application_timeout',
  forbidden: 'path_forbidden',
  limit: 'application_failed',
  protocol: 'application_failed',
  internal: 'application_failed',
  lost: 'connector_lost',
};

/** The failure that a cut stream is; `name` is how people call the application. */
export function toResetError(code: ResetCode, name: string): AppError {
  return new AppError(RESET_ERRORS[code], { values: { name, seconds: 1 }, detail: `the stream was cut: ${code}` });
}

/** Header fields and body of a failure, in the seeds' shape. */
export function toErrorAnswer(error: AppError): { status: number; fields: string[]; body: string } {
  const { status } = ERRORS[error.code];
  const body = JSON.stringify({ errors: [{ msg: toPublicMessage(error), code: status }] });
  const fields = [
    'Content-Type',
    'application/json; charset=utf-8',
    'Cache-Control',
    'no-store',
    'Content-Length',
    String(Buffer.byteLength(body)),
    ERROR_FIELD,
    error.code,
  ];
  if (status === 503) fields.push('Retry-After', String(error.values.seconds ?? 1));
  if (status === 401) fields.push('WWW-Authenticate', REALM);
  if (status === 407) fields.push('Proxy-Authenticate', REALM);
  if (error.values.allow !== undefined) fields.push('Allow', error.values.allow);
  return { status, fields, body };
}

/**
 * Ends a connection by a reset, so that what came of it is not taken for whole. So with TLS, too: that its own end is missing
 * is what curl and Node, for two, pass over.
 */
export function cutVisibly(socket: Duplex | null): void {
  // Below TLS there is the socket that was accepted, of which Node says nothing in public.
  const lowest = socket instanceof TLSSocket ? (socket as { _parent?: unknown })._parent : socket;
  if (lowest instanceof Socket && !lowest.destroyed) lowest.resetAndDestroy();
  socket?.destroy();
}

/**
 * Answers a failure, or cuts the connection where an answer has begun. The connection is closed where the request was
 * not read to its end: what is left must not be taken for the next one.
 */
export function answerError(res: ServerResponse, error: AppError, isRequestRead: boolean): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const { status, fields, body } = toErrorAnswer(error);
  if (!isRequestRead) fields.push('Connection', 'close');
  res.writeHead(status, fields).end(res.req.method === 'HEAD' ? undefined : body);
}
