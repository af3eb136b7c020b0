import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import {
  ASSERTION_CODES,
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonResponse,
  toRequestBody,
} from '../http/openapi-responses.ts';
import { OAUTH_PATHS } from './oauth-paths.ts';
import {
  authorizeRequest,
  authorizeResponse,
  contextResponse,
  jwksResponse,
  jwtGrantRequest,
  jwtGrantResponse,
  metadataResponse,
  sessionQuery,
  userInfoResponse,
} from './schemas.ts';

const assertionRefused = describeFailures('AssertionRefused', 'seeds', ASSERTION_CODES);
const grantRefused = describeFailures('GrantRefused', 'seeds', [...ASSERTION_CODES, 'bot_refused']);
const clientForbidden = describeFailures('ClientForbidden', 'seeds', ['client_forbidden', 'bearer_unbound']);
const sessionNotFound = describeFailures('SessionNotFound', 'seeds', ['session_not_found']);

const failures = { 431: HEADERS_TOO_LARGE, 500: SEEDS.internal, 503: SEEDS.busyOrUnavailable };
const bodyFailures = { 400: SEEDS.badRequest, ...toBodyFailures(SEEDS), ...failures };
const servers = [IDPROXY_SERVER];

const toJwtGrantOperation = (operationId: string, summary: string, sample: string): ZodOpenApiOperationObject => ({
  operationId,
  tags: ['Exchange'],
  summary,
  description:
    "The exchange in the published clients' shape. Every member of the body but `assertion` and `botInfo` is ignored.",
  security: [],
  requestBody: toRequestBody(jwtGrantRequest),
  responses: {
    200: toJsonResponse('The bearer, and who the user is.', jwtGrantResponse),
    401: grantRefused,
    ...bodyFailures,
    503: SEEDS.exchangeUnavailable,
  },
  ...toCurlSample(sample),
});

/** The idproxy's routes, registration apart. */
export const IDPROXY_PATHS: ZodOpenApiPathsObject = {
  '/authorize': {
    servers,
    post: {
      operationId: 'authorize',
      tags: ['Exchange'],
      summary: 'Exchange an assertion for a bearer',
      description:
        'Verifies the assertion and uses it up: with a `jti` it is accepted once. A 503 has granted nothing, and the same ' +
        'assertion can be presented again.',
      security: [],
      requestBody: toRequestBody(authorizeRequest),
      responses: {
        200: toJsonResponse('The bearer.', authorizeResponse),
        401: assertionRefused,
        ...bodyFailures,
        503: SEEDS.exchangeUnavailable,
      },
      ...toCurlSample(`printf 'assertion=%s' "$JWT" | curl -s "$IDPROXY/authorize" -d @-`),
    },
  },
  '/api/oAuth/token/jwtgrant': {
    servers,
    post: toJwtGrantOperation(
      'grantJwt',
      'Exchange an assertion, as published web and Android clients do',
      `printf '{"assertion":"%s","botInfo":{"chatBot":"Bot","taskBotId":"st-1"}}' "$JWT" |\n` +
        `  curl -s "$IDPROXY/api/oAuth/token/jwtgrant" -H 'content-type: application/json' -d @-`,
    ),
  },
  '/api/1.1/oAuth/token/jwtgrant': {
    servers,
    post: toJwtGrantOperation(
      'grantJwtVersioned',
      'Exchange an assertion, as published iOS clients do',
      `printf 'assertion=%s' "$JWT" |\n` +
        `  curl -s "$IDPROXY/api/1.1/oAuth/token/jwtgrant" -d @- -d 'botInfo[chatBot]=Bot' -d 'botInfo[taskBotId]=st-1'`,
    ),
  },
  ...OAUTH_PATHS,
  '/api/1.1/userinfo': {
    servers,
    get: {
      operationId: 'getUserInfo',
      tags: ['Bearer'],
      summary: 'Who the holder of a bearer is',
      description: 'Private claims are not among it.',
      security: [{ bearer: [] }, { boundBearer: [] }],
      responses: {
        200: toJsonResponse('The user.', userInfoResponse),
        401: SEEDS.bearer,
        403: clientForbidden,
        ...failures,
      },
      ...toCurlSample(`printf 'authorization: Bearer %s' "$BEARER" | curl -s -H @- "$IDPROXY/api/1.1/userinfo"`),
    },
  },
  '/api/1.1/session/context': {
    servers,
    get: {
      operationId: 'getSessionContext',
      tags: ['Bearer'],
      summary: "What is known of a session's user",
      description:
        'For the platform alone: the admin token, or a key of `COUNTERSIGN_CONTEXT_KEYS_FILE`, as a bearer or as the ' +
        "password of HTTP Basic. Private claims never go back to the user's browser.",
      security: [{ adminToken: [] }, { callerKey: [] }, { callerBasic: [] }],
      requestParams: { query: sessionQuery },
      responses: {
        200: toJsonResponse('Signed and unsigned data apart.', contextResponse),
        400: SEEDS.badPath,
        401: SEEDS.credential,
        404: sessionNotFound,
        ...failures,
      },
      ...toCurlSample(
        `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" |\n  curl -s -H @- "$IDPROXY/api/1.1/session/context?sessionId=$SESSION_ID"`,
      ),
    },
  },
  '/.well-known/jwks.json': {
    servers,
    get: {
      operationId: 'getJwks',
      tags: ['Discovery'],
      summary: 'The public keys of the platform',
      description:
        'RFC 7517. Those that JWEs are encrypted for, and those that verify what the platform signs: bearers of apps with ' +
        '`accessTokenFormat: jwt`.',
      security: [],
      responses: {
        200: toJsonResponse('The keys.', jwksResponse),
        431: HEADERS_TOO_LARGE,
        500: SEEDS.internal,
        503: SEEDS.unavailable,
      },
      ...toCurlSample('curl -s "$IDPROXY/.well-known/jwks.json"'),
    },
  },
  '/.well-known/oauth-authorization-server': {
    servers,
    get: {
      operationId: 'getMetadata',
      tags: ['Discovery'],
      summary: 'Where the endpoints are',
      description: 'RFC 8414. Addresses are under `COUNTERSIGN_PUBLIC_URL`.',
      security: [],
      responses: { 200: toJsonResponse('The metadata.', metadataResponse), 431: HEADERS_TOO_LARGE },
      ...toCurlSample('curl -s "$IDPROXY/.well-known/oauth-authorization-server"'),
    },
  },
};
