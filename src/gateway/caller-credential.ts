import type { IncomingMessage } from 'node:http';

import { AppError } from '../core/errors.ts';
import type { CallerDirectory } from './caller-registry.ts';
import type { Caller } from './connector.ts';

/** The longest field that is looked at, in characters. */
export const MAX_CREDENTIAL_FIELD_LENGTH = 1_024;

const BEARER = /^bearer +([\w.~+/-]+=*) *$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+=*) *$/i;

/** Which field a face of the gateway reads: `Authorization` belongs to the application, but for service calls. */
export type CredentialField = 'proxy-authorization' | 'x-connector-authorization' | 'authorization';

/**
 * The caller behind a request: `Bearer <token>`, or Basic with the token as the user's name, as `curl -x http://token@…`
 * sends it. A promise only for a token that may have been made a moment ago.
 * @throws AppError caller_credential (407 on the forward proxy), credential_missing, credential_invalid, store_unavailable
 */
export function authenticateCaller(
  req: IncomingMessage,
  field: CredentialField,
  callers: CallerDirectory,
): Caller | Promise<Caller> {
  const token = readToken(req, field);
  if (token === undefined)
    throw new AppError(field === 'proxy-authorization' ? 'caller_credential' : 'credential_missing');
  return callers.findCaller(token) ?? findNewCaller(token, field, callers);
}

async function findNewCaller(token: string, field: CredentialField, callers: CallerDirectory): Promise<Caller> {
  await callers.refreshOnMiss();
  const caller = callers.findCaller(token);
  if (caller !== undefined) return caller;
  throw new AppError(field === 'proxy-authorization' ? 'caller_credential' : 'credential_invalid');
}

function readToken({ headers, rawHeaders }: IncomingMessage, field: CredentialField): string | undefined {
  const value = headers[field];
  if (typeof value !== 'string' || value.length > MAX_CREDENTIAL_FIELD_LENGTH) return undefined;
  // SECURITY: of two credentials nobody knows which one was checked on the way here.
  if (rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === field).length > 1) return undefined;
  const bearer = BEARER.exec(value)?.[1];
  if (bearer !== undefined) return bearer;
  const basic = BASIC.exec(value)?.[1];
  if (basic === undefined) return undefined;
  const user = Buffer.from(basic, 'base64').toString('latin1').split(':', 1)[0];
  return user === '' ? undefined : user;
}
