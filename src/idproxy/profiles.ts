import type { App } from '../apps/schemas.ts';
import type { JsonObject } from '../core/json.ts';
import { type AssertionClaims, checkClaims, readClientId } from '../jose/claims.ts';

/** One kind of assertion, by the `typ` of its JWS. */
export interface AssertionProfile {
  /** The client id that an unverified payload names. @throws AppError `claim_missing`, `claim_invalid` */
  readClientId(payload: JsonObject): string;
  /** Whether an app takes assertions of this kind. */
  isAllowed(app: App): boolean;
  /** @param now - seconds since the epoch. @throws AppError that names the claim */
  checkClaims(payload: JsonObject, app: App, now: number): AssertionClaims;
}

/** The profile of the seeds: `typ` is absent, or `JWT` in any case. */
const JWT_PROFILE: AssertionProfile = { readClientId, isAllowed: () => true, checkClaims };

/** The kinds of assertions that are known, by their `typ` in small letters. */
const PROFILES: Readonly<Record<string, AssertionProfile>> = { jwt: JWT_PROFILE };

/** The profile of a header's `typ`. @returns undefined where it belongs to no kind of assertion */
export function findProfile(typ: unknown): AssertionProfile | undefined {
  if (typ === undefined) return JWT_PROFILE;
  const name = typeof typ === 'string' ? typ.toLowerCase() : '';
  return Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
}
