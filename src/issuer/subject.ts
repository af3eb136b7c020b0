import { AppError } from '../core/errors.ts';
import { createAnonymousIdentity } from '../core/ids.ts';
import type { Caller } from './callers/caller.ts';
import type { MintRequest } from './schemas.ts';

/** For whom a token is signed. */
export interface Subject {
  readonly identity: string;
  readonly isAnonymous: boolean;
  readonly identityToMerge?: string;
}

/** An anonymous identity that no person has: 128 bits as base64url have 22 characters, a UUID has 36. */
const MACHINE_MADE = /^[\w-]{22,}$/;

const RANDOM = 'random, at least 22 characters (A-Z a-z 0-9 - _)';

/**
 * For whom `caller` gets what it asks for.
 * @throws AppError `invalid_request`, `credential_missing`, `credential_invalid`, `identity_mismatch`, `anonymous_forbidden`
 */
export function selectSubject(request: MintRequest, caller: Caller, allowAnonymous: boolean): Subject {
  return request.isAnonymous ? selectAnonymous(request, caller, allowAnonymous) : selectKnown(request, caller);
}

function selectAnonymous({ identity, identityToMerge }: MintRequest, caller: Caller, isAllowed: boolean): Subject {
  if (!isAllowed) throw new AppError('anonymous_forbidden');
  if (identityToMerge !== undefined) throw invalid('identityToMerge', 'is for users who are not anonymous');
  // SECURITY: without a login nobody may pick a name, such as a mail address, that belongs to someone.
  if (identity !== undefined && caller.kind !== 'any' && !MACHINE_MADE.test(identity)) {
    throw invalid('identity', `of an anonymous user must be ${RANDOM}, or left out`);
  }
  return { identity: identity ?? createAnonymousIdentity(), isAnonymous: true };
}

function selectKnown({ identity, identityToMerge }: MintRequest, caller: Caller): Subject {
  if (caller.kind === 'nobody') throw new AppError(caller.reason);
  if (caller.kind === 'user' && identity !== undefined && identity !== caller.identity) {
    throw new AppError('identity_mismatch');
  }
  const known = caller.kind === 'user' ? caller.identity : identity;
  if (known === undefined) throw invalid('identity', 'is missing');
  // SECURITY: who speaks for themselves alone must not have somebody else's account merged into their own.
  if (identityToMerge !== undefined && caller.kind === 'user' && !MACHINE_MADE.test(identityToMerge)) {
    throw invalid('identityToMerge', `must be ${RANDOM}`);
  }
  return { identity: known, isAnonymous: false, ...(identityToMerge !== undefined && { identityToMerge }) };
}

function invalid(field: string, detail: string): AppError {
  return new AppError('invalid_request', { values: { detail: `"${field}" ${detail}` } });
}
