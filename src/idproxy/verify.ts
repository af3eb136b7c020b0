import type { App } from '../apps/schemas.ts';
import type { Clock } from '../core/clock.ts';
import type { AssertionClaims } from '../jose/claims.ts';
import type { AuthenticateToken } from './authenticate-token.ts';

/** An assertion that passed every check but the replay. */
export interface VerifiedAssertion {
  readonly app: App;
  readonly claims: AssertionClaims;
  /** Header and payload as they were signed; what makes this assertion this one. */
  readonly signingInput: string;
  /** When it was verified, in seconds since the epoch. */
  readonly verifiedAt: number;
}

/** Verifies an assertion without using it up. */
export type VerifyAssertion = (assertion: string) => Promise<VerifiedAssertion>;

/** The token's authenticity, then its claims. Nothing is written, so a refused assertion burns nothing. */
export function createVerifyAssertion(authenticateToken: AuthenticateToken, clock: Clock): VerifyAssertion {
  return async function verifyAssertion(assertion) {
    const { app, profile, payload, signingInput } = await authenticateToken(assertion);
    const verifiedAt = clock.nowSeconds();
    return { app, claims: profile.checkClaims(payload, app, verifiedAt), signingInput, verifiedAt };
  };
}
