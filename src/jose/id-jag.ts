import { AppError } from '../core/errors.ts';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import { ASSERTION_CHECKS, type AssertionClaims, type ClaimsPolicy, createRead, type ReadClaims } from './claims.ts';
import { type ClaimsCheck, type ClaimVerdict, judgeChecks } from './claims-check.ts';
import { checkName, invalidClaim, missingClaim } from './claim-values.ts';
import { MAX_AUDIENCE_LENGTH, MAX_NAME_LENGTH } from './limits.ts';

/** The `typ` of an Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant-04). */
export const ID_JAG_TYP = 'oauth-id-jag+jwt';

/** Whom an app takes identity assertions from, and whom they must be for. */
export interface IdJagPolicy {
  /** The `iss` of the identity provider. */
  readonly issuer: string;
  /** Our own issuer identifier (RFC 8414 §2). */
  readonly audience: string;
}

/** What an identity assertion says. */
export interface IdJagClaims extends AssertionClaims {
  /** The thumbprint of the key whose proof must come with it. */
  readonly boundTo?: string;
}

/** The client id that an unverified payload names. @throws AppError `claim_missing`, `claim_invalid` */
export function readIdJagClientId(payload: JsonObject): string {
  return checkName('client_id', payload['client_id'], MAX_AUDIENCE_LENGTH);
}

/** Whom an identity assertion is about; never an anonymous user. @throws AppError `claim_missing`, `claim_invalid` */
export function readIdJagSubject(payload: JsonObject): Pick<AssertionClaims, 'subject' | 'isAnonymous'> {
  return { subject: checkName('sub', payload['sub'], MAX_NAME_LENGTH), isAnonymous: false };
}

/** By what an identity assertion is judged. */
export type IdJagRules = ClaimsPolicy & IdJagPolicy;

/** What the checks have read so far. */
type ReadIdJag = ReadClaims & { boundTo?: string };

type IdJagCheck = ClaimsCheck<IdJagRules, ReadIdJag>;

/** Claims that restrict what is granted in ways that are not known here: to overlook one would grant too much. */
const refuseUnknown = (name: string, detail: string): IdJagCheck => ({
  name,
  shows: 'presence',
  run: (payload) => {
    if (isThere(payload[name])) throw invalidClaim(name, detail);
  },
});

/** Claims that the bot may see, as signed data: two of them, so short that the limit of such data need not be asked. */
const showToBot = (name: string): IdJagCheck => ({
  name,
  shows: 'presence',
  run: (payload, _rules, _now, found) => {
    if (!isThere(payload[name])) return;
    const value = checkName(name, payload[name], MAX_AUDIENCE_LENGTH);
    found.privateClaims = { ...found.privateClaims, [name]: value };
  },
});

/** A rule that holds for all assertions; an audience of ours, and a `jti`, are always needed. */
const asInAll = (name: string): IdJagCheck => {
  const check = ASSERTION_CHECKS.find((one) => one.name === name);
  if (check === undefined) throw new TypeError(`no rule is called ${name}`);
  return {
    ...check,
    run: (payload, rules, now, found) =>
      check.run(payload, { ...rules, audiences: [rules.audience], enforceJti: true }, now, found),
  };
};

const IAT = asInAll('iat');

/** The rules, in the order in which they are asked. */
export const ID_JAG_CHECKS: readonly IdJagCheck[] = [
  { name: 'iss', shows: 'text', run: checkIssuer },
  { name: 'client_id', shows: 'text', run: (payload) => void readIdJagClientId(payload) },
  refuseUnknown('authorization_details', 'is not offered here'),
  // The same `sub` may be somebody else in another tenant of one issuer.
  refuseUnknown('tenant', 'is not offered here: this issuer must have one tenant'),
  { name: 'resource', shows: 'presence', run: checkResource },
  { name: 'cnf', shows: 'presence', run: readConfirmation },
  showToBot('email'),
  showToBot('scope'),
  asInAll('aud'),
  asInAll('jti'),
  asInAll('exp'),
  asInAll('nbf'),
  {
    ...IAT,
    run: (payload, rules, now, found) => {
      if (!isThere(payload['iat'])) throw missingClaim('iat');
      IAT.run(payload, rules, now, found);
    },
  },
  asInAll('lifetime'),
  asInAll('sub'),
];

/**
 * What counts of a payload: members under which other assertions carry something mean nothing here, and a list of one audience is
 * that one.
 */
export function toIdJagPayload(payload: JsonObject): JsonObject {
  const names = ID_JAG_CHECKS.map(({ name }) => name).filter((name) => Object.hasOwn(payload, name));
  const own = Object.fromEntries(names.map((name) => [name, payload[name]]));
  return Object.hasOwn(own, 'aud') ? { ...own, aud: toOne(own['aud']) } : own;
}

/**
 * Every rule on the claims of an identity assertion whose signature holds; stops at the first that is broken.
 * @param now - the time, in seconds since the epoch
 * @throws AppError that names the claim
 */
export function checkIdJag(payload: JsonObject, rules: IdJagRules, now: number): IdJagClaims {
  const found: ReadIdJag = createRead();
  const own = toIdJagPayload(payload);
  for (const check of ID_JAG_CHECKS) check.run(own, rules, now, found);
  return found;
}

/** The same rules, each asked: what {@link checkIdJag} throws is the first refusal here. */
export function judgeIdJag(payload: JsonObject, rules: IdJagRules, now: number): ClaimVerdict[] {
  return judgeChecks<IdJagRules, ReadIdJag>(ID_JAG_CHECKS, toIdJagPayload(payload), rules, now, createRead());
}

const isThere = (value: unknown): boolean => value !== undefined && value !== null;

function checkIssuer(payload: JsonObject, { issuer }: IdJagRules): void {
  if (checkName('iss', payload['iss'], MAX_AUDIENCE_LENGTH) !== issuer)
    throw invalidClaim('iss', "is not the identity provider of this client's registration");
}

/** A list of exactly one is that one. */
function toOne(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}

/** Resources beside ours are not granted; without ours there is nothing to grant. */
function checkResource({ resource: value }: JsonObject, { audience }: IdJagRules): void {
  if (!isThere(value)) return;
  const resources: unknown[] = Array.isArray(value) ? value : [value];
  if (!resources.includes(audience))
    throw new AppError('invalid_target', { detail: '"resource" of the identity assertion' });
}

/** SECURITY: who holds an assertion that is bound to a key has nothing without that key. */
function readConfirmation({ cnf }: JsonObject, _rules: IdJagRules, _now: number, found: ReadIdJag): void {
  if (!isThere(cnf)) return;
  if (!isJsonObject(cnf)) throw invalidClaim('cnf', 'must be an object', cnf);
  const { jkt, ...others } = cnf;
  if (Object.keys(others).length > 0) throw invalidClaim('cnf', 'may name the key of a DPoP proof alone ("jkt")');
  found.boundTo = checkName('cnf.jkt', jkt, MAX_NAME_LENGTH);
}
