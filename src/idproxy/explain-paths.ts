import type { ZodOpenApiPathsObject } from 'zod-openapi';

import {
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonBody,
  toJsonResponse,
} from '../http/openapi-responses.ts';
import { explainRequest, explanation } from './explain-schemas.ts';

/** What the admin asks of a token that was refused. */
export const EXPLAIN_PATHS: ZodOpenApiPathsObject = {
  '/admin/explain': {
    servers: [IDPROXY_SERVER],
    post: {
      operationId: 'explainToken',
      tags: ['Registration'],
      summary: 'Say what would become of a token',
      description:
        'Every check of the verification, also behind the first that refuses, without using the token up. It is 200 whatever ' +
        'becomes of the token. Neither secrets nor the values of private claims are in the answer; the name of the user is.',
      security: [{ adminToken: [] }],
      requestBody: toJsonBody(explainRequest),
      responses: {
        200: toJsonResponse('What would become of it.', explanation),
        400: SEEDS.badRequest,
        401: SEEDS.credential,
        ...toBodyFailures(SEEDS),
        429: SEEDS.tooMany,
        431: HEADERS_TOO_LARGE,
        500: SEEDS.internal,
        503: SEEDS.verificationUnavailable,
      },
      ...toCurlSample(
        `printf '{"token":"%s"}' "$JWT" > explain.json\n` +
          `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" |\n` +
          `  curl -s -H @- "$IDPROXY/admin/explain" -H 'content-type: application/json' -d @explain.json`,
      ),
    },
  },
};
