import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { auditPage, auditQuery } from './audit-schemas.ts';
import { HEADERS_TOO_LARGE, IDPROXY_SERVER, SEEDS, toCurlSample, toJsonResponse } from './openapi-responses.ts';

/** The audit trail. */
export const AUDIT_PATHS: ZodOpenApiPathsObject = {
  '/admin/audit': {
    servers: [IDPROXY_SERVER],
    get: {
      tags: ['Operations'],
      security: [{ adminToken: [] }],
      operationId: 'listAudit',
      summary: 'Who did what',
      description:
        'The audit trail of administration, oldest first: an entry before each act, one for how it ended, and one for each ' +
        'credential that was refused. Nothing of it can be changed here.',
      requestParams: { query: auditQuery },
      responses: {
        200: toJsonResponse('The entries.', auditPage),
        400: SEEDS.badPath,
        401: SEEDS.credential,
        429: SEEDS.tooMany,
        431: HEADERS_TOO_LARGE,
        500: SEEDS.internal,
        503: SEEDS.unavailable,
      },
      ...toCurlSample(
        `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- "$IDPROXY/admin/audit?newestFirst=true&limit=10"`,
      ),
    },
  },
};
