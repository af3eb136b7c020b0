import { RELAY_ERRORS } from './relay-errors.ts';

/** One failure as the outside sees it. */
export interface ErrorRow {
  /** The HTTP status, and the `code` member of the seeds' error body. */
  readonly status: number;
  /** The public sentence. `{claim}`, `{seconds}` and `{field}` are filled from the error's public values. */
  readonly msg: string;
  /** The RFC 6749 §5.2 / RFC 6750 §3.1 code on `/oauth/*`. */
  readonly oauth: string;
  /** The status on `/oauth/*` where RFC 6749 asks for another one. */
  readonly oauthStatus?: number;
}

const verifying = (rest: string): string => `error verifying the jwt: ${rest}`;
const refused = (rest: string, oauth = 'invalid_grant') => ({
  status: 401,
  msg: verifying(rest),
  oauth,
  oauthStatus: 400,
});

/**
 * Every failure that a caller can see. The two sentences of the seeds are fixed byte for byte;
 * `openapi.yaml` lists the same rows, held by a test.
 */
export const ERRORS = {
  // What cannot be read at all.
  malformed_body: { status: 400, msg: 'the request body cannot be read: {detail}', oauth: 'invalid_request' },
  body_too_large: { status: 413, msg: 'the request body is larger than {limit} bytes', oauth: 'invalid_request' },
  unsupported_media_type: {
    status: 415,
    msg: 'send application/json or application/x-www-form-urlencoded',
    oauth: 'invalid_request',
  },
  unsupported_encoding: { status: 415, msg: 'send the body without content-encoding', oauth: 'invalid_request' },
  invalid_request: { status: 400, msg: '{detail}', oauth: 'invalid_request' },
  method_not_allowed: { status: 405, msg: 'use {allow} here', oauth: 'invalid_request' },
  not_found: { status: 404, msg: 'there is nothing here', oauth: 'invalid_request' },

  // An assertion that is refused. One message hides what an attacker could use as an oracle.
  assertion_malformed: refused('{detail}'),
  assertion_untrusted: refused('not signed or encrypted by a known client'),
  jwe_required: refused('this client must send an encrypted token (JWE)'),
  claim_missing: refused('"{claim}" is missing'),
  claim_invalid: refused('"{claim}" {detail}'),
  audience_mismatch: refused('"aud" is not an audience of this client'),
  expired: refused('"exp" is in the past: {detail}'),
  not_yet_valid: refused('"{claim}" is in the future: {detail}'),
  lifetime_too_long: refused('"exp" must be <= {seconds} second(s) from now'),
  jti_lifetime_too_long: refused('if "jti" claim "exp" must be <= 1 hour(s)'),
  replayed: refused('possibly a replay'),
  app_disabled: refused('this client is disabled'),
  anonymous_not_allowed: refused('"isAnonymous" users are not allowed for this client'),
  user_unknown: refused('"sub" is not a user of this client'),
  merge_unproven: refused('"identityToMerge" needs the bearer of that identity, as "identity_to_merge_token"'),
  bot_refused: refused('this client may not use the bot in "botInfo"'),

  // A caller without the right credential.
  credential_missing: { status: 401, msg: 'a credential is missing', oauth: 'invalid_client' },
  credential_invalid: { status: 401, msg: 'the credential is not valid', oauth: 'invalid_client' },
  bearer_missing: { status: 401, msg: 'a bearer token is missing', oauth: 'invalid_token' },
  bearer_invalid: { status: 401, msg: 'the bearer token is expired or unknown', oauth: 'invalid_token' },
  client_forbidden: { status: 403, msg: 'this client is disabled or gone', oauth: 'access_denied' },
  bot_forbidden: { status: 403, msg: 'this client may not use this bot', oauth: 'access_denied' },
  session_not_found: { status: 404, msg: 'there is no live session of this id', oauth: 'invalid_request' },
  realtime_unavailable: {
    status: 404,
    msg: 'real-time sessions are not offered by this server',
    oauth: 'invalid_request',
  },

  // The issuer.
  identity_mismatch: { status: 403, msg: 'you may not ask for another identity than your own', oauth: 'access_denied' },
  issuer_not_local: {
    status: 403,
    msg: 'an open issuer answers this machine alone (COUNTERSIGN_ALLOW_OPEN_ISSUER_ON_NETWORK)',
    oauth: 'access_denied',
  },
  anonymous_forbidden: {
    status: 403,
    msg: 'this issuer does not sign for anonymous users (COUNTERSIGN_ALLOW_ANONYMOUS)',
    oauth: 'access_denied',
  },
  claims_too_large: {
    status: 500,
    msg: "the user's private claims are larger than {limit} bytes",
    oauth: 'server_error',
  },

  // The token endpoint.
  unsupported_grant_type: { status: 400, msg: 'this grant_type is not supported', oauth: 'unsupported_grant_type' },
  invalid_scope: { status: 400, msg: 'scopes are not offered here', oauth: 'invalid_scope' },
  invalid_target: { status: 400, msg: 'tokens are for this platform alone', oauth: 'invalid_target' },

  // Bearers that are bound to a key.
  invalid_dpop_proof: {
    status: 401,
    msg: 'the DPoP proof {detail}',
    oauth: 'invalid_dpop_proof',
    oauthStatus: 400,
  },
  dpop_proof_replayed: {
    status: 401,
    msg: 'the DPoP proof was used before',
    oauth: 'invalid_dpop_proof',
    oauthStatus: 400,
  },
  dpop_proof_missing: {
    status: 401,
    msg: 'this needs a DPoP proof, which only the token endpoint takes (/oauth/token)',
    oauth: 'invalid_dpop_proof',
    oauthStatus: 400,
  },
  bearer_bound: {
    status: 401,
    msg: 'this bearer is bound to a key: send it with the scheme DPoP and a proof',
    oauth: 'invalid_token',
  },
  bearer_not_bound: {
    status: 401,
    msg: 'this bearer is not bound to a key: send it with the scheme Bearer',
    oauth: 'invalid_token',
  },
  bearer_unbound: {
    status: 403,
    msg: 'this client takes only bearers that are bound to a key (DPoP)',
    oauth: 'access_denied',
  },

  // Registration.
  app_not_found: { status: 404, msg: 'no app has this client id', oauth: 'invalid_request' },
  app_key_not_found: { status: 404, msg: 'the app has no such key', oauth: 'invalid_request' },
  app_keys_full: {
    status: 409,
    msg: 'the app has {limit} keys that are not retired; end one of them first',
    oauth: 'invalid_request',
  },
  app_key_needed: { status: 409, msg: 'this would leave the app without a key, {detail}', oauth: 'invalid_request' },
  app_conflict: { status: 409, msg: 'the app was changed by someone else; read it again', oauth: 'invalid_request' },
  platform_key_not_found: { status: 404, msg: 'the platform has no key of this id', oauth: 'invalid_request' },
  platform_key_conflict: { status: 409, msg: '{detail}', oauth: 'invalid_request' },

  // Identities.
  identity_not_found: { status: 404, msg: 'there is no such user', oauth: 'invalid_request' },
  identity_exists: { status: 409, msg: 'this user is registered already', oauth: 'invalid_request' },

  ...RELAY_ERRORS,

  // Not the caller's fault, or too much of it.
  rate_limited: { status: 429, msg: 'too many requests; try again in {seconds} s', oauth: 'slow_down' },
  busy: { status: 503, msg: 'too many requests; try again in {seconds} s', oauth: 'temporarily_unavailable' },
  client_busy: {
    status: 503,
    msg: 'too many exchanges for this client; try again in {seconds} s',
    oauth: 'slow_down',
    oauthStatus: 429,
  },
  store_unavailable: {
    status: 503,
    msg: 'the session store does not answer; try again',
    oauth: 'temporarily_unavailable',
  },
  upstream_unavailable: {
    status: 503,
    msg: 'a service that this answer depends on does not answer; try again',
    oauth: 'temporarily_unavailable',
  },
  internal: { status: 500, msg: 'internal error', oauth: 'server_error' },
} as const satisfies Record<string, ErrorRow>;

/** The name of a failure: a row of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Harmless values that a row's `msg` prints. Nothing secret, nothing that the caller did not send or that is not documented. */
export interface PublicValues {
  readonly claim?: string;
  readonly seconds?: number;
  readonly limit?: number;
  readonly allow?: string;
  readonly detail?: string;
  readonly name?: string;
}

export interface AppErrorOptions {
  /** What `msg` may print. */
  readonly values?: PublicValues;
  /** The code on `/oauth/*` where a grant asks for another one than the row's. */
  readonly oauth?: string;
  /** `WWW-Authenticate`, where it is not the usual one. */
  readonly challenge?: string;
  /** For the log only. */
  readonly detail?: string;
  /** For the log only. */
  readonly cause?: unknown;
}

/** The one class of failure that leaves a room. `detail` and `cause` go to the log, never to the wire. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly values: PublicValues;
  readonly detail: string | undefined;
  readonly oauth: string | undefined;
  readonly challenge: string | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.detail ? `${code}: ${options.detail}` : code, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.values = options.values ?? {};
    this.detail = options.detail;
    this.oauth = options.oauth;
    this.challenge = options.challenge;
  }
}

/** Any thrown value as an {@link AppError}; what nobody foresaw becomes `internal`. */
export function toAppError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError('internal', { cause: error });
}

/** The public sentence of a failure, with its values filled in. */
export function toPublicMessage(error: AppError): string {
  const values = error.values as Record<string, string | number | undefined>;
  return ERRORS[error.code].msg.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? 'unreadable'));
}
