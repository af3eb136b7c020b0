import type { ZodOpenApiOperationObject, ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import type { z } from 'zod';

import type { ErrorCode } from '../core/errors.ts';
import { describeFailures, seedsErrorBody } from './openapi-failures.ts';

/** The servers, as every path names those that have it. */
export const ISSUER_SERVER = { url: 'http://127.0.0.1:3000', description: 'issuer' } as const;
export const IDPROXY_SERVER = { url: 'http://127.0.0.1:4000', description: 'idproxy' } as const;
/** Its port for callers. */
export const GATEWAY_SERVER = { url: 'http://127.0.0.1:8081', description: 'gateway' } as const;

/** Failures of whatever reads a body. */
const BODY_CODES: readonly ErrorCode[] = ['malformed_body', 'invalid_request'];
const MEDIA_CODES: readonly ErrorCode[] = ['unsupported_media_type', 'unsupported_encoding'];

/** Refusals of an assertion, whichever route it is presented to. */
export const ASSERTION_CODES: readonly ErrorCode[] = [
  'assertion_malformed',
  'assertion_untrusted',
  'jwe_required',
  'claim_missing',
  'claim_invalid',
  'audience_mismatch',
  'expired',
  'not_yet_valid',
  'lifetime_too_long',
  'jti_lifetime_too_long',
  'replayed',
  'app_disabled',
  'anonymous_not_allowed',
  'user_unknown',
  'merge_unproven',
  'dpop_proof_missing',
];

/** Refusals of a DPoP proof. */
export const DPOP_CODES: readonly ErrorCode[] = ['invalid_dpop_proof', 'dpop_proof_replayed'];

/** What Node's parser refuses, before it is known what was asked for: in the seeds' shape on every path. */
export const HEADERS_TOO_LARGE: ZodOpenApiResponseObject = {
  id: 'HeadersTooLarge',
  description:
    'The header fields have more than 16 384 bytes at the issuer, 24 576 at the gateway, 65 536 at the idproxy.',
  content: {
    'application/json': {
      schema: seedsErrorBody,
      example: { errors: [{ msg: 'the request cannot be read', code: 431 }] },
    },
  },
};

/** Failures in the seeds' shape. */
export const SEEDS = {
  badRequest: describeFailures('BadRequest', 'seeds', BODY_CODES),
  badPath: describeFailures('BadPath', 'seeds', ['invalid_request']),
  bodyTooLarge: describeFailures('BodyTooLarge', 'seeds', ['body_too_large']),
  unsupportedMediaType: describeFailures('UnsupportedMediaType', 'seeds', MEDIA_CODES),
  credential: describeFailures('CredentialRefused', 'seeds', ['credential_missing', 'credential_invalid']),
  bearer: describeFailures('BearerRefused', 'seeds', [
    'bearer_missing',
    'bearer_invalid',
    'bearer_bound',
    'bearer_not_bound',
    ...DPOP_CODES,
  ]),
  tooMany: describeFailures('TooManyRequests', 'seeds', ['rate_limited']),
  internal: describeFailures('InternalError', 'seeds', ['internal']),
  unavailable: describeFailures('Unavailable', 'seeds', ['store_unavailable']),
  busyOrUnavailable: describeFailures('BusyOrUnavailable', 'seeds', ['busy', 'store_unavailable']),
  exchangeUnavailable: describeFailures('ExchangeUnavailable', 'seeds', [
    'busy',
    'client_busy',
    'store_unavailable',
    'upstream_unavailable',
  ]),
  verificationUnavailable: describeFailures('VerificationUnavailable', 'seeds', [
    'store_unavailable',
    'upstream_unavailable',
  ]),
} as const;

/** Failures of `/oauth/*`, as in RFC 6749. */
export const OAUTH = {
  badRequest: describeFailures('OAuthBadRequest', 'oauth', BODY_CODES),
  bodyTooLarge: describeFailures('OAuthBodyTooLarge', 'oauth', ['body_too_large']),
  unsupportedMediaType: describeFailures('OAuthUnsupportedMediaType', 'oauth', MEDIA_CODES),
  credential: describeFailures('OAuthCredentialRefused', 'oauth', ['credential_missing', 'credential_invalid']),
  tooMany: describeFailures('OAuthTooManyRequests', 'oauth', ['rate_limited']),
  tooManyExchanges: describeFailures('OAuthTooManyExchanges', 'oauth', ['rate_limited', 'client_busy']),
  internal: describeFailures('OAuthInternalError', 'oauth', ['internal']),
  unavailable: describeFailures('OAuthUnavailable', 'oauth', ['store_unavailable']),
  exchangeUnavailable: describeFailures('OAuthExchangeUnavailable', 'oauth', [
    'store_unavailable',
    'upstream_unavailable',
  ]),
} as const;

/** What a route that reads a body adds to its responses. */
export function toBodyFailures(shape: typeof SEEDS | typeof OAUTH): ZodOpenApiResponsesObject {
  return { 413: shape.bodyTooLarge, 415: shape.unsupportedMediaType };
}

/** A success with a JSON body. */
export function toJsonResponse(description: string, schema: z.ZodType): ZodOpenApiResponseObject {
  return { description, content: { 'application/json': { schema } } };
}

/** A body that is read as JSON and as a form. */
export function toRequestBody(schema: z.ZodType): NonNullable<ZodOpenApiOperationObject['requestBody']> {
  return {
    required: true,
    content: { 'application/json': { schema }, 'application/x-www-form-urlencoded': { schema } },
  };
}

/** A body that is read as JSON; a form can say too little of it. */
export function toJsonBody(schema: z.ZodType): NonNullable<ZodOpenApiOperationObject['requestBody']> {
  return { required: true, content: { 'application/json': { schema } } };
}

/** The sample of an operation, for a shell. Credentials go through pipes, so that no process list shows them. */
export function toCurlSample(source: string) {
  return { 'x-codeSamples': [{ lang: 'curl', label: 'curl', source }] } as const;
}
