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
import {
  identityExport,
  identityList,
  identityLookUp,
  identityQuery,
  identityRequest,
  identityView,
} from './identity-schemas.ts';

const notFound = describeFailures('IdentityNotFound', 'seeds', ['identity_not_found']);
const noSuchApp = describeFailures('IdentityAppNotFound', 'seeds', ['app_not_found']);
const exists = describeFailures('IdentityExists', 'seeds', ['identity_exists']);

const requestParams = {
  path: z.object({
    userId: z.string().meta({ description: "The user's id.", example: 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11' }),
  }),
};

/** What every operation for the admin has. */
const admin = { tags: ['Identities'], security: [{ adminToken: [] }] };
const servers = [IDPROXY_SERVER];
const failures = {
  401: SEEDS.credential,
  429: SEEDS.tooMany,
  431: HEADERS_TOO_LARGE,
  500: SEEDS.internal,
  503: SEEDS.unavailable,
};
const namedFailures = { 400: SEEDS.badPath, 404: notFound, ...failures };
const bodyFailures = { 400: SEEDS.badRequest, ...toBodyFailures(SEEDS), ...failures };

const asAdmin = (rest: string): string => `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- ${rest}`;
/** The body comes through a file descriptor: a person's name belongs into no process list either. */
const posting = (path: string, subject: string): string =>
  asAdmin(
    `"$IDPROXY${path}" \\\n  -H 'content-type: application/json' \\\n` +
      `  -d @<(printf '{"clientId":"%s","subject":"${subject}"}' "$CLIENT_ID")`,
  );

/** The users of the apps. */
export const IDENTITY_PATHS: ZodOpenApiPathsObject = {
  '/admin/identities': {
    servers,
    get: {
      ...admin,
      operationId: 'listIdentities',
      summary: 'List the users of an app',
      description:
        'Known users, a page at a time; anonymous ones are on no list. An app that is not there has none, and no 404: ' +
        'where a deletion was interrupted, the users that it left are found here.',
      requestParams: { query: identityQuery },
      responses: { 200: toJsonResponse('The users.', identityList), 400: SEEDS.badPath, ...failures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/identities?clientId=$CLIENT_ID&limit=10"')),
    },
    post: {
      ...admin,
      operationId: 'registerIdentity',
      summary: 'Register a user',
      description:
        'For apps with `autoRegister: false`, whose users are refused until they are registered. An assertion that was ' +
        'refused for that is not used up.',
      requestBody: toJsonBody(identityRequest),
      responses: {
        201: {
          ...toJsonResponse('The user.', identityView),
          headers: {
            Location: { description: 'Where the user is.', required: true, schema: { type: 'string' } },
          },
        },
        404: noSuchApp,
        409: exists,
        ...bodyFailures,
      },
      ...toCurlSample(posting('/admin/identities', 'bob@example.com')),
    },
  },
  '/admin/identities/look-up': {
    servers,
    post: {
      ...admin,
      operationId: 'lookUpIdentity',
      summary: 'Find a user by name',
      description: "A POST, since a person's name does not belong into a URL.",
      requestBody: toJsonBody(identityLookUp),
      responses: { 200: toJsonResponse('The user.', identityView), 404: notFound, ...bodyFailures },
      ...toCurlSample(posting('/admin/identities/look-up', 'bob@example.com')),
    },
  },
  '/admin/identities/{userId}': {
    servers,
    get: {
      ...admin,
      operationId: 'getIdentity',
      summary: 'Show a user',
      description:
        'A known user, or an anonymous one whose time is not over. What is no user id at all is not there either.',
      requestParams,
      responses: { 200: toJsonResponse('The user.', identityView), ...namedFailures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/identities/$USER_ID"')),
    },
    delete: {
      ...admin,
      operationId: 'eraseIdentity',
      summary: 'Erase a user',
      description:
        'The user and their conversation are gone, and their sessions and sockets end on every instance. Whom the issuer ' +
        'signs for once more begins anew, under the same user id, where the app registers users by itself.',
      requestParams,
      responses: { 204: { description: 'The user is gone.' }, ...namedFailures },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/identities/$USER_ID"')),
    },
  },
  '/admin/identities/{userId}/export': {
    servers,
    get: {
      ...admin,
      operationId: 'exportIdentity',
      summary: 'Export a user',
      description:
        'All that is kept of a user and can be found by it, as one JSON object. Sessions are stored under hashes of their ' +
        'bearers and cannot be listed by user; the export says so itself.',
      requestParams,
      responses: { 200: toJsonResponse('All that is kept of the user.', identityExport), ...namedFailures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/identities/$USER_ID/export"')),
    },
  },
};
