import type { App } from '../apps/schemas.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { IdJagClaims } from '../jose/id-jag.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import type { AssertionKind } from './profiles.ts';

/** An assertion that passed every check but the replay. */
export interface VerifiedAssertion {
  readonly app: App;
  readonly kind: AssertionKind;
  readonly claims: IdJagClaims;
  /** Header and payload as they were signed; what makes this assertion this one. */
  readonly signingInput: string;
  /** When it was verified, in seconds since the epoch. */
  readonly verifiedAt: number;
}

/** Verifies an assertion without using it up. */
export type VerifyAssertion = (assertion: string) => Promise<VerifiedAssertion>;

/**
 * The token's authenticity, then its claims. Nothing is written, so a refused assertion burns nothing.
 * @param issuer - our own issuer identifier
 */
export function createVerifyAssertion(
  authenticateToken: AuthenticateToken,
  clock: Clock,
  issuer: () => string,
): VerifyAssertion {
  return async function verifyAssertion(assertion) {
    const { app, profile, payload, signingInput } = await authenticateToken(assertion);
    const verifiedAt = clock.nowSeconds();
    try {
      const claims = profile.checkClaims(payload, app, verifiedAt, issuer());
      return { app, kind: profile.kind, claims, signingInput, verifiedAt };
    } catch (error) {
      throw error instanceof AppError ? withClient(error, app.clientId) : error;
    }
  };
}

/** The log says whose assertion it was. */
function withClient({ code, values, detail, cause }: AppError, clientId: string): AppError {
  return new AppError(code, { values, cause, detail: detail === undefined ? clientId : `${clientId}: ${detail}` });
}
