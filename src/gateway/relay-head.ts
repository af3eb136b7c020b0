import type { IncomingMessage } from 'node:http';

import { dropHopByHop, readFields } from '../tunnel/fields.ts';
import type { RequestHead } from '../tunnel/messages.ts';
import type { Call } from './find-ways.ts';

/** Fields that are for this gateway alone, whatever the application is. */
const OURS: readonly string[] = ['host', 'x-connector', 'x-connector-authorization'];

/** The head for a request of Node's parser. @throws AppError invalid_request */
export function toRequestHead(req: IncomingMessage, call: Call, requestId: string): RequestHead {
  const fields = dropHopByHop(readFields(req.rawHeaders), OURS);
  const { host, port, method, target, upgrade } = call;
  const head = { to: { host, port }, method, target, fields, requestId };
  return upgrade === undefined ? head : { ...head, upgrade };
}

/** Whether a request has no body (RFC 9112 §6.3). */
export function isWithoutBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}
