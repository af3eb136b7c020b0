import type { IncomingMessage } from 'node:http';

import { AppError } from '../core/errors.ts';
import type { CallerCheck } from './callers/caller.ts';
import type { ClaimsSource } from './claims/source.ts';
import type { Minter } from './mint.ts';
import type { MintRequest } from './schemas.ts';
import type { IssuerSettings } from './settings.ts';
import { selectSubject } from './subject.ts';

export interface IssueAssertionDeps extends Pick<IssuerSettings, 'audiences' | 'allowAnonymous'> {
  readonly checkCaller: CallerCheck;
  /** Asked for known users only. */
  readonly findClaims?: ClaimsSource;
  readonly mint: Minter;
}

/** A token, and the label of the API key that asked for it. */
export interface IssuedAssertion {
  readonly jwt: string;
  readonly callerLabel?: string;
}

/**
 * Mints what a caller asks for, if it may have it.
 * @throws AppError
 */
export type IssueAssertion = (req: IncomingMessage, request: MintRequest) => Promise<IssuedAssertion>;

export function createIssueAssertion(deps: IssueAssertionDeps): IssueAssertion {
  const { audiences, allowAnonymous, checkCaller, findClaims, mint } = deps;
  return async (req, request) => {
    const audience = request.aud ?? audiences[0];
    if (!audiences.includes(audience)) {
      throw new AppError('invalid_request', { values: { detail: '"aud" is not an audience of this issuer' } });
    }
    const caller = await checkCaller(req);
    const subject = selectSubject(request, caller, allowAnonymous);
    const claims = subject.isAnonymous ? undefined : await findClaims?.(subject.identity);
    const jwt = await mint(subject, audience, claims);
    return { jwt, ...(caller.kind === 'any' && caller.label !== undefined && { callerLabel: caller.label }) };
  };
}
