import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import {
  ASSERTION_CODES,
  DPOP_CODES,
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  OAUTH,
  toBodyFailures,
  toCurlSample,
  toJsonResponse,
  toRequestBody,
} from '../http/openapi-responses.ts';
import { JWT_BEARER_GRANT, jwtBearerRequest } from './grants/jwt-bearer.ts';
import { tokenExchangeRequest } from './grants/token-exchange.ts';
import { introspectionResponse, tokenQuery, tokenResponse } from './schemas.ts';

const tokenRefused = describeFailures('TokenRefused', 'oauth', [
  'malformed_body',
  'invalid_request',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  ...ASSERTION_CODES,
  ...DPOP_CODES,
]);

const tokenRequest = z
  .union([jwtBearerRequest, tokenExchangeRequest])
  .meta({ id: 'TokenRequest', description: 'One of the grants, by `grant_type`.' });

const dpopHeader = z.object({
  DPoP: z
    .string()
    .optional()
    .meta({ description: 'A proof for this method and URL, at most once. Absent: the bearer is bound to nothing.' }),
});

const revoked = z.strictObject({}).meta({ id: 'Revoked', description: 'Nothing to say.' });

const failures = {
  ...toBodyFailures(OAUTH),
  429: OAUTH.tooMany,
  431: HEADERS_TOO_LARGE,
  500: OAUTH.internal,
  503: OAUTH.unavailable,
};

/** Both credentials of the call as a configuration that curl reads from a pipe. */
const asking = (path: string, credential: string): string =>
  `printf 'header = "authorization: Bearer %s"\\ndata = "token=%s"\\n' "${credential}" "$BEARER" |\n  curl -s -K - "$IDPROXY${path}"`;

/** `/oauth/*`. */
export const OAUTH_PATHS: ZodOpenApiPathsObject = {
  '/oauth/token': {
    servers: [IDPROXY_SERVER],
    post: {
      operationId: 'requestToken',
      tags: ['OAuth'],
      summary: 'Exchange an assertion, as OAuth writes it',
      description:
        'The token endpoint for the grants of RFC 7523 §2.1 and RFC 8693 §2.1. The assertion says who the client is; nothing else is ' +
        'needed. With a DPoP proof (RFC 9449) the bearer is bound to its key.',
      security: [],
      requestParams: { header: dpopHeader },
      requestBody: toRequestBody(tokenRequest),
      responses: {
        200: toJsonResponse('The bearer.', tokenResponse),
        400: tokenRefused,
        ...failures,
        429: OAUTH.tooManyExchanges,
        503: OAUTH.exchangeUnavailable,
      },
      ...toCurlSample(
        `printf 'assertion=%s' "$JWT" |\n  curl -s "$IDPROXY/oauth/token" -d grant_type=${JWT_BEARER_GRANT} -d @-`,
      ),
    },
  },
  '/oauth/introspect': {
    servers: [IDPROXY_SERVER],
    post: {
      operationId: 'introspectToken',
      tags: ['OAuth'],
      summary: 'Ask what a bearer stands for',
      description:
        'RFC 7662. For resource servers: with the admin token or a listed key, as a bearer or as the password of HTTP Basic.',
      security: [{ adminToken: [] }, { callerKey: [] }, { callerBasic: [] }],
      requestBody: toRequestBody(tokenQuery),
      responses: {
        200: toJsonResponse('Who the user is, or that the bearer is not active.', introspectionResponse),
        400: OAUTH.badRequest,
        401: OAUTH.credential,
        ...failures,
      },
      ...toCurlSample(asking('/oauth/introspect', '$ADMIN_TOKEN')),
    },
  },
  '/oauth/revoke': {
    servers: [IDPROXY_SERVER],
    post: {
      operationId: 'revokeToken',
      tags: ['OAuth'],
      summary: 'End a bearer',
      description:
        'RFC 7009. For whoever holds the bearer, which is signing out, and for the callers of introspection. An unknown bearer is no failure.',
      security: [{ bearer: [] }, { adminToken: [] }, { callerKey: [] }, { callerBasic: [] }],
      requestBody: toRequestBody(tokenQuery),
      responses: {
        200: toJsonResponse('It is ended, or never was.', revoked),
        400: OAUTH.badRequest,
        401: OAUTH.credential,
        ...failures,
      },
      ...toCurlSample(asking('/oauth/revoke', '$BEARER')),
    },
  },
};
