import type { IncomingMessage } from 'node:http';

import type { AdminCheck } from '../apps/admin-token.ts';
import { readBasicPassword, readBearer } from '../http/credentials.ts';
import type { KeyList } from '../http/key-list.ts';

/**
 * What a caller of the platform may: `none`; `session`, ask about and end any session; `context`, see its user's context too; `admin`,
 * the same, and each time there is an entry in the audit trail.
 */
export type Trust = 'none' | 'session' | 'context' | 'admin';

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
    if (isAdmin(credential)) return 'admin';
    if (contextKeys.find(credential) !== undefined) return 'context';
    return introspectionKeys.find(credential) === undefined ? 'none' : 'session';
  };
}
