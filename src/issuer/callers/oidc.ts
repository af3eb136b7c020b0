import {
  createRemoteJWKSet,
  customFetch,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
} from 'jose';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { readBearer } from '../../http/credentials.ts';
import { isIdentity } from '../schemas.ts';
import type { CallerAuth } from '../settings.ts';
import { askUpstream, type UpstreamDeps, upstreamError } from '../upstream.ts';
import type { CallerCheck } from './caller.ts';

/** The largest JWKS that is read, in bytes. */
export const MAX_JWKS_BYTES = 262_144;
/** How long after a fetch an unknown `kid` fetches no more, in milliseconds. */
const JWKS_COOLDOWN_MS = 30_000;
/** How far the identity provider's clock may be off, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 15;

// SECURITY: asymmetric ones only. With an HMAC algorithm in the list, a public key would be a secret that everyone knows.
const ALGORITHMS = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519',
]; // prettier-ignore

/** `typ` of ID tokens (absent or JWT) and of access tokens (RFC 9068 §2.1). */
const BEARER_TYPES = /^(application\/)?(at\+)?jwt$/i;

/** Codes of jose that tell of a JWKS that cannot be used, not of a bearer. */
const JWKS_FAULTS: readonly string[] = ['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT'];

export interface OidcDeps extends UpstreamDeps {
  readonly clock: Clock;
}

/** Bearers of the customer's identity provider, checked against its JWKS; a claim is the identity. */
export function createOidcCheck(deps: OidcDeps, settings: CallerAuth & { mode: 'oidc' }): CallerCheck {
  const { issuer, audience, jwksUrl, identityClaim } = settings;
  const keys = createRemoteJWKSet(new URL(jwksUrl), {
    timeoutDuration: deps.timeoutMs,
    cooldownDuration: JWKS_COOLDOWN_MS,
    [customFetch]: (url: string) => fetchJwks(deps, url),
  });
  const rules: JWTVerifyOptions = {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    requiredClaims: ['exp'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
  };

  return async function checkOidc(req) {
    const bearer = readBearer(req);
    if (bearer === undefined) return { kind: 'nobody', reason: 'credential_missing' };
    let claims: JWTPayload;
    try {
      const currentDate = new Date(deps.clock.nowSeconds() * 1000);
      claims = await verifyWith(bearer, keys, { ...rules, currentDate });
    } catch (error) {
      throw toFailure(error);
    }
    if (identityClaim === 'email' && isUnverified(claims['email_verified']))
      throw refused('"email_verified" is not true');
    const identity = Object.hasOwn(claims, identityClaim) ? claims[identityClaim] : undefined;
    if (!isIdentity(identity)) throw refused(`the bearer has no identity in "${identityClaim}"`);
    return { kind: 'user', identity };
  };
}

/** The claims of a bearer. One without a `kid` is tried with every key that fits its algorithm. */
async function verifyWith(bearer: string, keys: JWTVerifyGetKey, rules: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return checkType(await jwtVerify(bearer, keys, rules));
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return checkType(await jwtVerify(bearer, key, rules));
      } catch (failure) {
        // Another key may fit; one that cannot be used at all is passed over, too.
        if (failure instanceof AppError || isOtherRefusal(failure)) throw failure;
      }
    }
    throw refused('no key of the JWKS fits the signature');
  }
}

const isOtherRefusal = (failure: unknown): boolean =>
  failure instanceof errors.JOSEError && !(failure instanceof errors.JWSSignatureVerificationFailed);

/** SECURITY: an identity provider signs other things, too, such as logout tokens. */
function checkType({ protectedHeader, payload }: JWTVerifyResult): JWTPayload {
  const { typ } = protectedHeader;
  if (typ !== undefined && !BEARER_TYPES.test(typ)) throw refused('"typ" is not that of an ID or access token');
  return payload;
}

/** Some providers send booleans as text, and some do not say. */
const isUnverified = (value: unknown): boolean => value !== undefined && value !== true && value !== 'true';

/** The JWKS as jose wants to have it fetched, within the limits that hold for every service of the customer's. */
async function fetchJwks(deps: UpstreamDeps, url: string): Promise<Response> {
  const { status, bytes } = await askUpstream(deps, url, { headers: { accept: 'application/json' } }, MAX_JWKS_BYTES);
  if (status !== 200) throw upstreamError(`the JWKS URL answered ${status}`);
  if (bytes === undefined) throw upstreamError(`the JWKS is larger than ${MAX_JWKS_BYTES} bytes`);
  return new Response(Uint8Array.from(bytes), { status });
}

/** What `jwtVerify` threw, as a refusal of the bearer or as a JWKS that cannot be used. */
function toFailure(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof errors.JOSEError)) return upstreamError('a key of the JWKS cannot be used', error);
  if (JWKS_FAULTS.includes(error.code)) return upstreamError('the JWKS cannot be read', error);
  return refused(error instanceof errors.JWTClaimValidationFailed ? `${error.code} ${error.claim}` : error.code);
}

function refused(detail: string): AppError {
  return new AppError('credential_invalid', { detail });
}
