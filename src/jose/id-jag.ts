import { AppError } from '../core/errors.ts';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import { type AssertionClaims, checkClaims, type ClaimsPolicy } from './claims.ts';
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

/** Claims that restrict what is granted in ways that are not known here: to overlook one would grant too much. */
const NOT_KNOWN_HERE: Readonly<Record<string, string>> = {
  authorization_details: 'is not offered here',
  // The same `sub` may be somebody else in another tenant of one issuer.
  tenant: 'is not offered here: this issuer must have one tenant',
};

/** Claims that the bot may see, as signed data. */
const SHOWN = ['email', 'scope'] as const;

/** The client id that an unverified payload names. @throws AppError `claim_missing`, `claim_invalid` */
export function readIdJagClientId(payload: JsonObject): string {
  return checkName('client_id', payload['client_id'], MAX_AUDIENCE_LENGTH);
}

/** Whom an identity assertion is about; never an anonymous user. @throws AppError `claim_missing`, `claim_invalid` */
export function readIdJagSubject(payload: JsonObject): Pick<AssertionClaims, 'subject' | 'isAnonymous'> {
  return { subject: checkName('sub', payload['sub'], MAX_NAME_LENGTH), isAnonymous: false };
}

/**
 * Every rule on the claims of an identity assertion whose signature holds. Its times are judged as those of all assertions; its
 * `jti` is always needed, and members under which other assertions carry something mean nothing.
 * @param now - the time, in seconds since the epoch
 * @throws AppError that names the claim
 */
export function checkIdJag(
  payload: JsonObject,
  policy: ClaimsPolicy,
  { issuer, audience }: IdJagPolicy,
  now: number,
): IdJagClaims {
  if (checkName('iss', payload['iss'], MAX_AUDIENCE_LENGTH) !== issuer)
    throw invalidClaim('iss', "is not the identity provider of this client's registration");
  if ((payload['iat'] ?? undefined) === undefined) throw missingClaim('iat');
  for (const [claim, detail] of Object.entries(NOT_KNOWN_HERE))
    if ((payload[claim] ?? undefined) !== undefined) throw invalidClaim(claim, detail);
  checkResource(payload['resource'], audience);
  const boundTo = readConfirmation(payload['cnf']);
  const { aud, exp, iat, nbf, jti, sub } = payload;
  const shown = SHOWN.filter((name) => (payload[name] ?? undefined) !== undefined).map(
    (name) => [name, checkName(name, payload[name], MAX_AUDIENCE_LENGTH)] as const,
  );
  const claims = checkClaims(
    { aud: toOne(aud), exp, iat, nbf, jti, sub, ...(shown.length > 0 && { privateClaims: Object.fromEntries(shown) }) },
    { ...policy, audiences: [audience], enforceJti: true, allowAnonymous: false },
    now,
  );
  return { ...claims, ...(boundTo !== undefined && { boundTo }) };
}

/** A list of exactly one is that one. */
function toOne(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}

/** Resources beside ours are not granted; without ours there is nothing to grant. */
function checkResource(value: unknown, audience: string): void {
  if (value === undefined || value === null) return;
  const resources: unknown[] = Array.isArray(value) ? value : [value];
  if (!resources.includes(audience))
    throw new AppError('invalid_target', { detail: '"resource" of the identity assertion' });
}

/** SECURITY: who holds an assertion that is bound to a key has nothing without that key. */
function readConfirmation(cnf: unknown): string | undefined {
  if (cnf === undefined || cnf === null) return undefined;
  if (!isJsonObject(cnf)) throw invalidClaim('cnf', 'must be an object', cnf);
  const { jkt, ...others } = cnf;
  if (Object.keys(others).length > 0) throw invalidClaim('cnf', 'may name the key of a DPoP proof alone ("jkt")');
  return checkName('cnf.jkt', jkt, MAX_NAME_LENGTH);
}
