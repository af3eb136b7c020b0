import type { IncomingMessage } from 'node:http';

import type { AdminCheck } from '../apps/admin-token.ts';
import { AppError } from '../core/errors.ts';
import { readBasicPassword, readBearer } from '../http/credentials.ts';
import type { KeyList } from '../http/key-list.ts';

/**
 * Whether a request may ask about and end any session: the admin token, or one of the listed keys, as a bearer or as
 * the password of HTTP Basic.
 */
export type IsTrustedCaller = (req: IncomingMessage) => boolean;

export function createIsTrustedCaller(isAdmin: AdminCheck, keys: KeyList): IsTrustedCaller {
  return function isTrustedCaller(req) {
    const credential = readBearer(req) ?? readBasicPassword(req);
    return credential !== undefined && (isAdmin(credential) || keys.find(credential) !== undefined);
  };
}

/** @throws AppError `credential_missing`, `credential_invalid` */
export function refuseCaller(req: IncomingMessage): never {
  throw new AppError(req.headers.authorization === undefined ? 'credential_missing' : 'credential_invalid');
}
