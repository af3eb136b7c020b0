import type { IncomingMessage } from 'node:http';

import type { AdminCheck } from '../apps/admin-token.ts';
import { AppError } from '../core/errors.ts';
import { readBasicPassword, readBearer } from '../http/credentials.ts';
import type { KeyList } from '../http/key-list.ts';

/** What a caller of the platform may: `none`; `session`, ask about and end any session; `context`, see its user's context too. */
export type Trust = 'none' | 'session' | 'context';

/** How far a request is trusted, by its credential: a bearer, or the password of HTTP Basic. */
export type CheckTrust = (req: IncomingMessage) => Trust;

export interface TrustDeps {
  readonly isAdmin: AdminCheck;
  readonly introspectionKeys: KeyList;
  readonly contextKeys: KeyList;
}

export function createCheckTrust({ isAdmin, introspectionKeys, contextKeys }: TrustDeps): CheckTrust {
  return function checkTrust(req) {
    const credential = readBearer(req) ?? readBasicPassword(req);
    if (credential === undefined) return 'none';
    if (isAdmin(credential) || contextKeys.find(credential) !== undefined) return 'context';
    return introspectionKeys.find(credential) === undefined ? 'none' : 'session';
  };
}

/** @throws AppError `credential_missing`, `credential_invalid` */
export function refuseCaller(req: IncomingMessage): never {
  throw new AppError(req.headers.authorization === undefined ? 'credential_missing' : 'credential_invalid');
}
