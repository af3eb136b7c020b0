import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import {
  HEADERS_TOO_LARGE,
  ISSUER_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonResponse,
  toRequestBody,
} from '../http/openapi-responses.ts';
import { mintRequestSchema, mintResponseSchema } from './schemas.ts';

const forbidden = describeFailures('MintForbidden', 'seeds', [
  'issuer_not_local',
  'identity_mismatch',
  'anonymous_forbidden',
]);
const failed = describeFailures('MintFailed', 'seeds', ['claims_too_large', 'internal']);
const unavailable = describeFailures('MintUnavailable', 'seeds', ['busy', 'upstream_unavailable']);

const toMintOperation = (operationId: string, summary: string, sample: string): ZodOpenApiOperationObject => ({
  operationId,
  tags: ['Issuer'],
  summary,
  description:
    'Checks that the caller may speak for the user, then signs (and by setting encrypts) an assertion. ' +
    'Who may call is `COUNTERSIGN_CALLER_AUTH`: `open` (nobody is asked: for a laptop), `api-key` (as a bearer or in `X-Api-Key`), ' +
    "`forward-auth` (the caller's cookie and Authorization go to a URL of yours, whose answer names the user) or " +
    '`oidc` (a bearer of your identity provider). `clientId` and `clientSecret`, which published clients send, are ignored. ' +
    'A slash may follow the path.',
  security: [{}, { apiKey: [] }, { callerBearer: [] }],
  requestBody: toRequestBody(mintRequestSchema),
  responses: {
    200: toJsonResponse('The assertion. It can be exchanged once.', mintResponseSchema),
    400: SEEDS.badRequest,
    401: SEEDS.credential,
    403: forbidden,
    ...toBodyFailures(SEEDS),
    431: HEADERS_TOO_LARGE,
    500: failed,
    503: unavailable,
  },
  ...toCurlSample(sample),
});

/** The issuer's routes. */
export const ISSUER_PATHS: ZodOpenApiPathsObject = {
  '/api/users/sts': {
    servers: [ISSUER_SERVER],
    post: toMintOperation(
      'mintAssertion',
      'Mint an assertion',
      'curl -s "$ISSUER/api/users/sts" -d identity=alice@example.com -d isAnonymous=false',
    ),
  },
  '/users/sts': {
    servers: [ISSUER_SERVER],
    post: toMintOperation(
      'mintAssertionForMobile',
      'Mint an assertion, under the path of the mobile clients',
      `curl -s "$ISSUER/users/sts" -H 'content-type: application/json' -d '{"identity":"alice@example.com"}'`,
    ),
  },
};
