import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import type { ErrorCode } from '../../core/errors.ts';
import { describeFailures } from '../../http/openapi-failures.ts';
import {
  GATEWAY_SERVER,
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonBody,
  toJsonResponse,
} from '../../http/openapi-responses.ts';
import { MAX_CALL_HEADER_LENGTH } from './limits.ts';
import { serviceAnswer, serviceCall, serviceCallOptions, serviceIdentities } from './schemas.ts';

/** What a call fails with, by status. */
const CODES = {
  400: ['malformed_body', 'invalid_request', 'service_identity_unknown'],
  403: ['service_url_forbidden', 'application_unknown', 'path_forbidden', 'connector_forbidden'],
  409: ['connector_not_enabled'],
  502: [
    'service_unreachable',
    'service_server_untrusted',
    'service_certificate_missing',
    'service_certificate_refused',
    'service_failed',
    'service_answer_too_large',
    'application_unreachable',
    'application_failed',
    'connector_lost',
  ],
  503: ['busy', 'connector_unavailable', 'store_unavailable'],
  504: ['service_timeout', 'application_timeout'],
} as const satisfies Record<number, readonly ErrorCode[]>;

const describe = (status: keyof typeof CODES) => describeFailures(`ServiceCall${status}`, 'seeds', CODES[status]);

const caller = { tags: ['Service calls'], security: [{ callerToken: [] }] };
const servers = [GATEWAY_SERVER];
const failures = { 401: SEEDS.credential, 431: HEADERS_TOO_LARGE, 500: SEEDS.internal };

const asCaller = (rest: string): string => `printf 'authorization: Bearer %s' "$CALLER_TOKEN" | curl -s -H @- ${rest}`;
const asAdmin = (rest: string): string => `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- ${rest}`;

const text = { type: 'string' } as const;

/** Calls of services, with two-way TLS or through a connector. */
export const SERVICE_CALL_PATHS: ZodOpenApiPathsObject = {
  '/service-calls': {
    servers,
    post: {
      ...caller,
      operationId: 'callService',
      summary: 'Call a service',
      description:
        'Sends one request and hands its answer over: inside JSON, or as it comes with `stream`. A body of the caller that is ' +
        'larger than the JSON may be is the body of this request, with everything else in `x-service-call`.',
      requestParams: {
        header: z.object({
          'x-service-call': z.string().max(MAX_CALL_HEADER_LENGTH).optional().meta({
            description:
              "base64url of the same JSON without `body` and `bodyEncoding`: this request's body, of any type and length, goes to the service as it comes.",
          }),
        }),
      },
      requestBody: toJsonBody(serviceCall),
      responses: {
        200: {
          description: 'What the service answered, whatever its status.',
          headers: {
            'X-Service-Status': { description: "With `stream`: the service's status.", schema: text },
            'X-Service-Headers': {
              description: "With `stream`: base64url of the service's header fields as JSON.",
              schema: text,
            },
          },
          content: {
            'application/json': { schema: serviceAnswer },
            'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
          },
        },
        400: describe(400),
        403: describe(403),
        409: describe(409),
        ...toBodyFailures(SEEDS),
        ...failures,
        502: describe(502),
        503: describe(503),
        504: describe(504),
      },
      ...toCurlSample(
        asCaller(
          `"$GATEWAY/service-calls" \\\n  -H 'content-type: application/json' -d '{"method":"POST","url":"'"$SERVICE_URL"'","body":{"quantity":2}}'`,
        ),
      ),
    },
  },
  '/service-calls/options': {
    servers,
    get: {
      ...caller,
      operationId: 'getServiceCallOptions',
      summary: 'Show which ways are offered',
      description: 'Whether services may be called directly, as whom, and whether a connector is enabled.',
      responses: { 200: toJsonResponse('The ways.', serviceCallOptions), ...failures, 503: SEEDS.unavailable },
      ...toCurlSample(asCaller('"$GATEWAY/service-calls/options"')),
    },
  },
  '/admin/service-identities': {
    servers: [IDPROXY_SERVER],
    get: {
      tags: ['Service calls'],
      security: [{ adminToken: [] }],
      operationId: 'listServiceIdentities',
      summary: 'List the client certificates',
      description: 'The public side of every identity that services are called with, for whoever runs the services.',
      responses: {
        200: toJsonResponse('The certificates.', serviceIdentities),
        429: SEEDS.tooMany,
        ...failures,
      },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/service-identities"')),
    },
  },
};
