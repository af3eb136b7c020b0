import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import { SEEDS, toBodyFailures, toCurlSample, toJsonBody, toJsonResponse } from '../http/openapi-responses.ts';
import { ADMIN, ADMIN_FAILURES, ADMIN_SERVERS, asAdmin, asJson, LOCATION } from './admin-operation.ts';
import { callerCreated, callerList, callerRequest } from './schemas.ts';

const ofCaller = z.object({
  id: z.string().meta({ description: 'The id of a caller.', example: 'cl-0f6b1f5e-6d0c-4d52-9f7e-6a4f0a1b2c3d' }),
});

/** Who may call through the gateway. */
export const CALLER_PATHS: ZodOpenApiPathsObject = {
  '/admin/callers': {
    servers: ADMIN_SERVERS,
    get: {
      ...ADMIN,
      operationId: 'listCallers',
      summary: 'List the callers of the gateway',
      description: 'Everyone who may call through the gateway, without the token.',
      responses: { 200: toJsonResponse('The callers.', callerList), ...ADMIN_FAILURES },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/callers"')),
    },
    post: {
      ...ADMIN,
      operationId: 'createCaller',
      summary: 'Register a caller of the gateway',
      description: 'Makes a token and shows it in this answer, once.',
      requestBody: toJsonBody(callerRequest),
      responses: {
        201: { ...toJsonResponse('The caller and its token.', callerCreated), headers: LOCATION },
        400: SEEDS.badRequest,
        ...toBodyFailures(SEEDS),
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asJson('/admin/callers', '{"name":"Bots"}')),
    },
  },
  '/admin/callers/{id}': {
    servers: ADMIN_SERVERS,
    delete: {
      ...ADMIN,
      operationId: 'deleteCaller',
      summary: 'Delete a caller of the gateway',
      description: 'Its token is refused from now on.',
      requestParams: { path: ofCaller },
      responses: {
        204: { description: 'It is gone.' },
        400: SEEDS.badPath,
        404: describeFailures('CallerNotFound', 'seeds', ['caller_not_found']),
        ...ADMIN_FAILURES,
      },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/callers/$CALLER_ID"')),
    },
  },
};
