import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../http/openapi-failures.ts';
import {
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonBody,
  toJsonResponse,
} from '../http/openapi-responses.ts';
import { appCreated, appList, appPatch, appRequest, appView } from './schemas.ts';

const notFound = describeFailures('AppNotFound', 'seeds', ['app_not_found']);
const conflict = describeFailures('AppConflict', 'seeds', ['app_conflict']);

const requestParams = {
  path: z.object({
    clientId: z
      .string()
      .meta({ description: 'The client id of an app.', example: 'cs-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' }),
  }),
};

/** What every operation for the admin has. */
const admin = { tags: ['Registration'], security: [{ adminToken: [] }] };
const failures = {
  401: SEEDS.credential,
  429: SEEDS.tooMany,
  431: HEADERS_TOO_LARGE,
  500: SEEDS.internal,
  503: SEEDS.unavailable,
};

const asAdmin = (rest: string): string => `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- ${rest}`;

/** Registration of SDK apps. */
export const APP_PATHS: ZodOpenApiPathsObject = {
  '/admin/apps': {
    servers: [IDPROXY_SERVER],
    get: {
      ...admin,
      operationId: 'listApps',
      summary: 'List the apps',
      description: 'Every registered app, without its secret.',
      responses: { 200: toJsonResponse('The apps.', appList), ...failures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/apps"')),
    },
    post: {
      ...admin,
      operationId: 'createApp',
      summary: 'Register an app',
      description:
        'HS256 and HS512: a secret is made here and shown in this answer, once. RS256 and RS512: `publicKey` is needed. ' +
        'Members that are left out have defaults under which the published clients work.',
      requestBody: toJsonBody(appRequest),
      responses: {
        201: {
          ...toJsonResponse('The app, its secret, and the public key that its JWEs are encrypted for.', appCreated),
          headers: {
            Location: { description: 'Where the app is.', required: true, schema: { type: 'string' } },
          },
        },
        400: SEEDS.badRequest,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(
        asAdmin(
          `"$IDPROXY/admin/apps" \\\n  -H 'content-type: application/json' -d '{"name":"Web chat","algorithm":"HS256","enforceJti":true}'`,
        ),
      ),
    },
  },
  '/admin/apps/{clientId}': {
    servers: [IDPROXY_SERVER],
    get: {
      ...admin,
      operationId: 'getApp',
      summary: 'Show an app',
      description: 'An app, without its secret.',
      requestParams,
      responses: { 200: toJsonResponse('The app.', appView), 400: SEEDS.badPath, 404: notFound, ...failures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/apps/$CLIENT_ID"')),
    },
    patch: {
      ...admin,
      operationId: 'updateApp',
      summary: 'Change an app',
      description:
        'Any member but the algorithm. Holds at once in the idproxy that answers, within moments in the others.',
      requestParams,
      requestBody: toJsonBody(appPatch),
      responses: {
        200: toJsonResponse('The app as it is now.', appView),
        400: SEEDS.badRequest,
        404: notFound,
        409: conflict,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(
        asAdmin(
          `-X PATCH "$IDPROXY/admin/apps/$CLIENT_ID" \\\n  -H 'content-type: application/json' -d '{"reuseWindowSeconds":30}'`,
        ),
      ),
    },
    delete: {
      ...admin,
      operationId: 'deleteApp',
      summary: 'Delete an app',
      description: 'Its assertions are refused from now on, and so are its bearers.',
      requestParams,
      responses: { 204: { description: 'It is gone.' }, 400: SEEDS.badPath, 404: notFound, ...failures },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/apps/$CLIENT_ID"')),
    },
  },
};
