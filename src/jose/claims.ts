import { AppError, type ErrorCode } from '../core/errors.ts';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import { isUnfitForName } from '../core/name.ts';
import {
  MAX_AUDIENCE_LENGTH,
  MAX_JTI_LIFETIME_SECONDS,
  MAX_NAME_LENGTH,
  MAX_PRIVATE_CLAIMS_BYTES,
  MILLISECONDS_FROM,
} from './limits.ts';

/** What an app's registration says about its assertions. */
export interface ClaimsPolicy {
  readonly audiences: readonly string[];
  readonly enforceJti: boolean;
  readonly allowAnonymous: boolean;
  readonly clockToleranceSeconds: number;
  /** The longest life from now. */
  readonly maxLifetimeSeconds: number;
}

/** The claims of an assertion, effective (`kore_x ?? x`), normalised and checked. Times in seconds since the epoch. */
export interface AssertionClaims {
  readonly subject: string;
  readonly isAnonymous: boolean;
  /** Absent where the assertion may be presented again. */
  readonly jti?: string;
  readonly audience: string;
  readonly expiresAt: number;
  readonly identityToMerge?: string;
  readonly privateClaims?: JsonObject;
  readonly secureCustomData?: JsonObject;
}

/** Spellings of the two members for signed user data that the seeds and their samples use. */
const USER_DATA_SPELLINGS = {
  privateClaims: ['privateClaims', 'PrivateClaims'],
  secureCustomData: ['secureCustomData', 'SecureCustomData'],
} as const;

const invalid = (claim: string, detail: string): AppError =>
  new AppError('claim_invalid', { values: { claim, detail } });

/** The claim that counts of a pair, and its name: `kore_<name>` where it is there, else `name`. */
function pick(payload: JsonObject, name: 'iss' | 'sub' | 'jti'): { claim: string; value: unknown } {
  const override = payload[`kore_${name}`];
  return override === undefined || override === null
    ? { claim: name, value: payload[name] ?? undefined }
    : { claim: `kore_${name}`, value: override };
}

/**
 * The client id that an unverified payload names, for looking up the app and for nothing else.
 * @throws AppError `claim_missing`, `claim_invalid`
 */
export function readClientId(payload: JsonObject): string {
  const { claim, value } = pick(payload, 'iss');
  return checkName(claim, value, MAX_AUDIENCE_LENGTH);
}

/**
 * Whom a payload is about.
 * @throws AppError `claim_missing`, `claim_invalid`
 */
export function readSubject(payload: JsonObject): Pick<AssertionClaims, 'subject' | 'isAnonymous'> {
  const { claim, value } = pick(payload, 'sub');
  const subject = checkName(claim, value, MAX_NAME_LENGTH);
  return { subject, isAnonymous: checkFlag('isAnonymous', payload['isAnonymous']) };
}

/**
 * Every rule on the claims of a payload whose signature holds, in the order of the verification rules.
 * @param now - the time, in seconds since the epoch
 * @throws AppError that names the claim
 */
export function checkClaims(payload: JsonObject, policy: ClaimsPolicy, now: number): AssertionClaims {
  const audience = checkName('aud', payload['aud'], MAX_AUDIENCE_LENGTH);
  if (!policy.audiences.includes(audience)) throw new AppError('audience_mismatch', { detail: audience });
  const pickedJti = pick(payload, 'jti');
  const isJtiNeeded = policy.enforceJti || pickedJti.value !== undefined;
  const jti = isJtiNeeded ? checkName(pickedJti.claim, pickedJti.value, MAX_NAME_LENGTH) : undefined;
  const expiresAt = checkTimes(payload, policy, jti !== undefined, now);
  const { subject, isAnonymous } = readSubject(payload);
  if (isAnonymous && !policy.allowAnonymous) throw new AppError('anonymous_not_allowed');
  const toMerge = payload['identityToMerge'] ?? undefined;
  return {
    subject,
    isAnonymous,
    audience,
    expiresAt,
    ...(jti !== undefined && { jti }),
    ...(toMerge !== undefined && { identityToMerge: checkName('identityToMerge', toMerge, MAX_NAME_LENGTH) }),
    ...checkUserData(payload),
  };
}

function checkTimes(payload: JsonObject, policy: ClaimsPolicy, hasJti: boolean, now: number): number {
  const tolerance = policy.clockToleranceSeconds;
  const expiresAt = toSeconds('exp', payload['exp']);
  if (expiresAt === undefined) throw new AppError('claim_missing', { values: { claim: 'exp' } });
  if (now >= expiresAt + tolerance) throw timeError('expired', 'exp', now - expiresAt);
  for (const claim of ['nbf', 'iat'] as const) {
    const at = toSeconds(claim, payload[claim]);
    if (at !== undefined && at > now + tolerance) throw timeError('not_yet_valid', claim, at - now);
  }
  const life = expiresAt - now - tolerance;
  if (hasJti && life > MAX_JTI_LIFETIME_SECONDS) throw timeError('jti_lifetime_too_long', 'exp', expiresAt - now);
  if (life > policy.maxLifetimeSeconds) throw timeError('lifetime_too_long', 'exp', policy.maxLifetimeSeconds);
  return expiresAt;
}

function timeError(code: ErrorCode, claim: string, seconds: number): AppError {
  return new AppError(code, { values: { claim, seconds }, detail: `${claim}: ${seconds.toFixed(1)} s` });
}

/** A NumericDate in seconds; each claim on its own, since producers mix seconds and milliseconds in one token. */
function toSeconds(claim: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw invalid(claim, 'must be a time as a number');
  return value >= MILLISECONDS_FROM ? value / 1000 : value;
}

function checkName(claim: string, value: unknown, maxLength: number): string {
  if (value === undefined || value === null) throw new AppError('claim_missing', { values: { claim } });
  if (typeof value !== 'string' || value === '') throw invalid(claim, 'must be a non-empty string');
  if (value.length > maxLength) throw invalid(claim, `must have at most ${maxLength} characters`);
  if (isUnfitForName(value)) throw invalid(claim, 'has characters that no name may have');
  return value;
}

/** A boolean, or its string: stock clients post forms, and sample servers sign what they post. */
function checkFlag(claim: string, value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 'false') return false;
  if (value === true || value === 'true') return true;
  throw invalid(claim, 'must be true or false');
}

function checkUserData(payload: JsonObject): Pick<AssertionClaims, 'privateClaims' | 'secureCustomData'> {
  const found: { privateClaims?: JsonObject; secureCustomData?: JsonObject } = {};
  let bytes = 0;
  for (const member of ['privateClaims', 'secureCustomData'] as const) {
    const present = USER_DATA_SPELLINGS[member].filter((spelling) => (payload[spelling] ?? undefined) !== undefined);
    const [spelling] = present;
    if (spelling === undefined) continue;
    const value = payload[spelling];
    if (present.length > 1) throw invalid(member, 'is there in two spellings');
    if (!isJsonObject(value)) throw invalid(spelling, 'must be an object');
    bytes += Buffer.byteLength(JSON.stringify(value));
    found[member] = value;
  }
  if (bytes > MAX_PRIVATE_CLAIMS_BYTES)
    throw invalid('privateClaims', `must have at most ${MAX_PRIVATE_CLAIMS_BYTES} bytes`);
  return found;
}
