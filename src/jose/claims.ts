import { AppError } from '../core/errors.ts';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import { quote } from '../core/quote.ts';
import { describeTime, toDistance, toDuration, toTimeHint, toUnitHint, toUnixSeconds } from './claim-times.ts';
import { checkFlag, checkName, checkTime, invalidClaim, missingClaim, pickClaim } from './claim-values.ts';
import { type ClaimsCheck, type ClaimVerdict, judgeChecks } from './claims-check.ts';
import { MAX_AUDIENCE_LENGTH, MAX_JTI_LIFETIME_SECONDS, MAX_NAME_LENGTH, MAX_PRIVATE_CLAIMS_BYTES } from './limits.ts';

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

/** What the checks have read so far. */
export type ReadClaims = { -readonly [Name in keyof AssertionClaims]: AssertionClaims[Name] };

/** Spellings of the two members for signed user data that the seeds and their samples use. */
export const USER_DATA_SPELLINGS = {
  privateClaims: ['privateClaims', 'PrivateClaims'],
  secureCustomData: ['secureCustomData', 'SecureCustomData'],
} as const;

/** The rules, in the order of the verification rules. */
export const ASSERTION_CHECKS: readonly ClaimsCheck<ClaimsPolicy, ReadClaims>[] = [
  { name: 'aud', shows: 'text', run: checkAudience },
  { name: 'jti', shows: 'text', run: checkJti },
  { name: 'exp', shows: 'time', run: checkExpiry },
  { name: 'nbf', shows: 'time', run: (payload, policy, now) => checkStart('nbf', payload, policy, now) },
  { name: 'iat', shows: 'time', run: (payload, policy, now) => checkStart('iat', payload, policy, now) },
  { name: 'lifetime', shows: 'rule', after: ['jti', 'exp'], run: checkLifetime },
  { name: 'sub', shows: 'text', run: (payload, _policy, _now, found) => void (found.subject = readName(payload)) },
  { name: 'isAnonymous', shows: 'text', run: checkAnonymous },
  { name: 'identityToMerge', shows: 'text', run: checkMerge },
  { name: 'privateClaims', shows: 'size', run: checkUserData },
];

/**
 * The client id that an unverified payload names, for looking up the app and for nothing else.
 * @throws AppError `claim_missing`, `claim_invalid`
 */
export function readClientId(payload: JsonObject): string {
  const { claim, value } = pickClaim(payload, 'iss');
  return checkName(claim, value, MAX_AUDIENCE_LENGTH);
}

/**
 * Whom a payload is about.
 * @throws AppError `claim_missing`, `claim_invalid`
 */
export function readSubject(payload: JsonObject): Pick<AssertionClaims, 'subject' | 'isAnonymous'> {
  const subject = readName(payload);
  return { subject, isAnonymous: checkFlag('isAnonymous', payload['isAnonymous']) };
}

/**
 * Every rule on the claims of a payload whose signature holds; stops at the first that is broken.
 * @param now - the time, in seconds since the epoch
 * @throws AppError that names the claim
 */
export function checkClaims(payload: JsonObject, policy: ClaimsPolicy, now: number): AssertionClaims {
  const found = createRead();
  for (const check of ASSERTION_CHECKS) check.run(payload, policy, now, found);
  return found;
}

/** The same rules, each asked: what {@link checkClaims} throws is the first refusal here. */
export function judgeClaims(payload: JsonObject, policy: ClaimsPolicy, now: number): ClaimVerdict[] {
  return judgeChecks(ASSERTION_CHECKS, payload, policy, now, createRead());
}

/** What has been read before anything was. */
export const createRead = (): ReadClaims => ({ subject: '', isAnonymous: false, audience: '', expiresAt: 0 });

function checkAudience(payload: JsonObject, { audiences }: ClaimsPolicy, _now: number, found: ReadClaims): void {
  found.audience = checkName('aud', payload['aud'], MAX_AUDIENCE_LENGTH);
  if (audiences.includes(found.audience)) return;
  const detail = `"aud" is ${quote(found.audience)}; allowed: ${audiences.map(quote).join(', ')}`;
  throw new AppError('audience_mismatch', { detail });
}

function checkJti(payload: JsonObject, { enforceJti }: ClaimsPolicy, _now: number, found: ReadClaims): void {
  const { claim, value } = pickClaim(payload, 'jti');
  if (enforceJti || value !== undefined) found.jti = checkName(claim, value, MAX_NAME_LENGTH);
}

function checkExpiry(payload: JsonObject, policy: ClaimsPolicy, now: number, found: ReadClaims): void {
  const expiresAt = checkTime('exp', payload['exp']);
  if (expiresAt === undefined) throw missingClaim('exp');
  if (now >= expiresAt + policy.clockToleranceSeconds) throw timeError('expired', 'exp', payload, policy, now);
  found.expiresAt = expiresAt;
}

function checkStart(claim: 'nbf' | 'iat', payload: JsonObject, policy: ClaimsPolicy, now: number): void {
  const at = checkTime(claim, payload[claim]);
  if (at !== undefined && at > now + policy.clockToleranceSeconds)
    throw timeError('not_yet_valid', claim, payload, policy, now);
}

function checkLifetime(payload: JsonObject, policy: ClaimsPolicy, now: number, found: ReadClaims): void {
  const life = found.expiresAt - now - policy.clockToleranceSeconds;
  if (found.jti !== undefined && life > MAX_JTI_LIFETIME_SECONDS)
    throw lifetimeError('jti_lifetime_too_long', MAX_JTI_LIFETIME_SECONDS, payload, policy, now);
  if (life > policy.maxLifetimeSeconds)
    throw lifetimeError('lifetime_too_long', policy.maxLifetimeSeconds, payload, policy, now);
}

function checkAnonymous(payload: JsonObject, { allowAnonymous }: ClaimsPolicy, _now: number, found: ReadClaims): void {
  found.isAnonymous = checkFlag('isAnonymous', payload['isAnonymous']);
  if (found.isAnonymous && !allowAnonymous)
    throw new AppError('anonymous_not_allowed', {
      detail: '"isAnonymous" is true; "allowAnonymous" of the app is false',
    });
}

function checkMerge(payload: JsonObject, _policy: ClaimsPolicy, _now: number, found: ReadClaims): void {
  const toMerge = payload['identityToMerge'] ?? undefined;
  if (toMerge !== undefined) found.identityToMerge = checkName('identityToMerge', toMerge, MAX_NAME_LENGTH);
}

function checkUserData(payload: JsonObject, _policy: ClaimsPolicy, _now: number, found: ReadClaims): void {
  let bytes = 0;
  for (const member of ['privateClaims', 'secureCustomData'] as const) {
    const [first, second] = USER_DATA_SPELLINGS[member];
    const isFirst = (payload[first] ?? undefined) !== undefined;
    const isSecond = (payload[second] ?? undefined) !== undefined;
    if (!isFirst && !isSecond) continue;
    if (isFirst && isSecond) throw invalidClaim(member, 'is there in two spellings');
    const value = payload[isFirst ? first : second];
    if (!isJsonObject(value)) throw invalidClaim(isFirst ? first : second, 'must be an object', value);
    bytes += Buffer.byteLength(JSON.stringify(value));
    found[member] = value;
  }
  if (bytes <= MAX_PRIVATE_CLAIMS_BYTES) return;
  const { values } = invalidClaim('privateClaims', `must have at most ${MAX_PRIVATE_CLAIMS_BYTES} bytes`);
  throw new AppError('claim_invalid', {
    values,
    detail: `"privateClaims" has ${bytes} bytes, at most ${MAX_PRIVATE_CLAIMS_BYTES} are allowed`,
  });
}

/** The figures are public: whoever sees them made the token, or was handed it, and the signature has held. */
function timeError(
  code: 'expired' | 'not_yet_valid',
  claim: string,
  payload: JsonObject,
  { clockToleranceSeconds }: ClaimsPolicy,
  now: number,
): AppError {
  const value = Number(payload[claim]);
  const at = toUnixSeconds(value);
  const tolerance = `tolerance ${clockToleranceSeconds} s`;
  const parts = [describeTime(claim, payload, now), tolerance, toTimeHint(value, at, now)];
  if (code === 'expired' && typeof payload['iat'] === 'number') parts.splice(2, 0, describeTime('iat', payload, now));
  return new AppError(code, {
    values: { claim, seconds: Math.abs(at - now), detail: `${toDistance(at, now)}; ${tolerance}` },
    detail: toSentence(parts),
  });
}

function lifetimeError(
  code: 'lifetime_too_long' | 'jti_lifetime_too_long',
  seconds: number,
  payload: JsonObject,
  { clockToleranceSeconds }: ClaimsPolicy,
  now: number,
): AppError {
  const parts = [
    describeTime('exp', payload, now),
    `at most ${toDuration(seconds)} from now; tolerance ${clockToleranceSeconds} s`,
    typeof payload['iat'] === 'number' ? describeTime('iat', payload, now) : '',
    toUnitHint(Number(payload['exp'])),
  ];
  return new AppError(code, { values: { claim: 'exp', seconds }, detail: toSentence(parts) });
}

const toSentence = (parts: readonly string[]): string => parts.filter((part) => part !== '').join('; ');

function readName(payload: JsonObject): string {
  const { claim, value } = pickClaim(payload, 'sub');
  return checkName(claim, value, MAX_NAME_LENGTH);
}
