import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { JWS_ALGORITHMS } from '../jose/algorithms.ts';
import { type AssertionClaims, checkClaims, judgeClaims, readClientId, readSubject } from '../jose/claims.ts';
import type { ClaimVerdict } from '../jose/claims-check.ts';
import {
  checkIdJag,
  ID_JAG_TYP,
  type IdJagClaims,
  type IdJagRules,
  judgeIdJag,
  readIdJagClientId,
  readIdJagSubject,
  toIdJagPayload,
} from '../jose/id-jag.ts';

/** The kinds of assertions: what issuers sign, and what identity providers sign for us. */
export type AssertionKind = 'jwt' | 'id-jag';

/** One kind of assertion, by the `typ` of its JWS. */
export interface AssertionProfile {
  readonly kind: AssertionKind;
  /** The client id that an unverified payload names. @throws AppError `claim_missing`, `claim_invalid` */
  readClientId(payload: JsonObject): string;
  /** Whether an app takes assertions of this kind. */
  isAllowed(app: App): boolean;
  /** Whom a payload is about. @throws AppError `claim_missing`, `claim_invalid` */
  readSubject(payload: JsonObject): Pick<AssertionClaims, 'subject' | 'isAnonymous'>;
  /**
   * @param now - seconds since the epoch
   * @param issuer - our own issuer identifier
   * @throws AppError that names the claim
   */
  checkClaims(payload: JsonObject, app: App, now: number, issuer: string): IdJagClaims;
  /** The same rules, each asked: what `checkClaims` throws is the first refusal here. */
  judgeClaims(payload: JsonObject, app: App, now: number, issuer: string): readonly ClaimVerdict[];
  /** The members of a payload that rules look at, and no others that mean the same in another kind. */
  toOwnClaims(payload: JsonObject): JsonObject;
}

/** The profile of the seeds: `typ` is absent, or `JWT` in any case. */
const JWT_PROFILE: AssertionProfile = {
  kind: 'jwt',
  readClientId,
  isAllowed: () => true,
  readSubject,
  checkClaims,
  judgeClaims,
  toOwnClaims: (payload) => payload,
};

const ID_JAG_PROFILE: AssertionProfile = {
  kind: 'id-jag',
  readClientId: readIdJagClientId,
  // Who can verify with a secret can sign with it: an identity provider has a key of its own.
  isAllowed: ({ idJag, algorithm }) => idJag !== null && JWS_ALGORITHMS[algorithm].keyType === 'rsa',
  readSubject: readIdJagSubject,
  checkClaims: (payload, app, now, issuer) => checkIdJag(payload, toIdJagRules(app, issuer), now),
  judgeClaims: (payload, app, now, issuer) => judgeIdJag(payload, toIdJagRules(app, issuer), now),
  toOwnClaims: toIdJagPayload,
};

function toIdJagRules(app: App, audience: string): IdJagRules {
  if (app.idJag === null) throw new AppError('internal', { detail: 'an identity assertion of an app without any' });
  return { ...app, issuer: app.idJag.issuer, audience };
}

/** The kinds of assertions that are known, by their `typ` in small letters. */
const PROFILES: Readonly<Record<string, AssertionProfile>> = { jwt: JWT_PROFILE, [ID_JAG_TYP]: ID_JAG_PROFILE };

/** The profile of a header's `typ`. @returns undefined where it belongs to no kind of assertion */
export function findProfile(typ: unknown): AssertionProfile | undefined {
  if (typ === undefined) return JWT_PROFILE;
  const name = typeof typ === 'string' ? typ.toLowerCase() : '';
  return Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
}
