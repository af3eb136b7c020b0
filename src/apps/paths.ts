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
import { appKeyCreated, appKeyList, appKeyPatch, appKeyRequest, appKeyView } from './keys/schemas.ts';
import { appCreated, appList, appPatch, appRequest, appView } from './schemas.ts';

const notFound = describeFailures('AppNotFound', 'seeds', ['app_not_found']);
const conflict = describeFailures('AppConflict', 'seeds', ['app_conflict']);
const keyNotFound = describeFailures('AppKeyNotFound', 'seeds', ['app_not_found', 'app_key_not_found']);
const keysFull = describeFailures('AppKeysFull', 'seeds', ['app_keys_full', 'app_key_needed', 'app_conflict']);
const keyNeeded = describeFailures('AppKeyNeeded', 'seeds', ['app_key_needed', 'app_conflict']);

const requestParams = {
  path: z.object({
    clientId: z
      .string()
      .meta({ description: 'The client id of an app.', example: 'cs-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55' }),
  }),
};

const keyParams = {
  path: requestParams.path.extend({
    kid: z.string().meta({ description: 'The id of a key of the app.', example: 'k-Zt3v0uH1m9Qd4rSx' }),
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

/** Registration of SDK apps, and their keys. */
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
        'HS256 and HS512: a secret is made here and shown in this answer, once. RS256 and RS512: `publicKey` or `jwksUrl` is needed. ' +
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
  '/admin/apps/{clientId}/keys': {
    servers: [IDPROXY_SERVER],
    get: {
      ...admin,
      operationId: 'listAppKeys',
      summary: "List an app's keys",
      description: 'Those that are accepted, will be, or were until a moment ago. Secrets are not in it.',
      requestParams,
      responses: { 200: toJsonResponse('The keys.', appKeyList), 400: SEEDS.badPath, 404: notFound, ...failures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/apps/$CLIENT_ID/keys"')),
    },
    post: {
      ...admin,
      operationId: 'addAppKey',
      summary: 'Add a key to an app',
      description:
        'The first step of a rotation: from now on, or from when it is said to begin, the new key is accepted beside the other one. ' +
        'An app has two keys at most, and never none.',
      requestParams,
      requestBody: toJsonBody(appKeyRequest),
      responses: {
        201: {
          ...toJsonResponse('The key, with its secret.', appKeyCreated),
          headers: {
            Location: { description: 'Where the key is.', required: true, schema: { type: 'string' } },
          },
        },
        400: SEEDS.badRequest,
        404: notFound,
        409: keysFull,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(
        asAdmin(
          `"$IDPROXY/admin/apps/$CLIENT_ID/keys" \\\n  -H 'content-type: application/json' -d '{"retireOthersInSeconds":86400}'`,
        ),
      ),
    },
  },
  '/admin/apps/{clientId}/keys/{kid}': {
    servers: [IDPROXY_SERVER],
    patch: {
      ...admin,
      operationId: 'updateAppKey',
      summary: 'Set when a key of an app ends',
      description: 'Or that it does not end. A key that has ended does not come back.',
      requestParams: keyParams,
      requestBody: toJsonBody(appKeyPatch),
      responses: {
        200: toJsonResponse('The key as it is now.', appKeyView),
        400: SEEDS.badRequest,
        404: keyNotFound,
        409: keyNeeded,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(
        asAdmin(
          `-X PATCH "$IDPROXY/admin/apps/$CLIENT_ID/keys/$APP_KID" \\\n  -H 'content-type: application/json' -d '{"retiresInSeconds":3600}'`,
        ),
      ),
    },
    delete: {
      ...admin,
      operationId: 'removeAppKey',
      summary: 'End a key of an app at once',
      description: 'What it has signed is refused from now on; sessions that were begun with it go on.',
      requestParams: keyParams,
      responses: {
        204: { description: 'It is gone.' },
        400: SEEDS.badPath,
        404: keyNotFound,
        409: keyNeeded,
        ...failures,
      },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/apps/$CLIENT_ID/keys/$APP_KID"')),
    },
  },
};
