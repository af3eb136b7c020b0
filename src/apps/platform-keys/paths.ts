import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';

import { describeFailures } from '../../http/openapi-failures.ts';
import {
  HEADERS_TOO_LARGE,
  IDPROXY_SERVER,
  SEEDS,
  toBodyFailures,
  toCurlSample,
  toJsonBody,
  toJsonResponse,
} from '../../http/openapi-responses.ts';
import { platformKeyList, platformKeyPatch, platformKeyRequest, platformKeyView } from './schemas.ts';

const notFound = describeFailures('PlatformKeyNotFound', 'seeds', ['platform_key_not_found']);
const conflict = describeFailures('PlatformKeyConflict', 'seeds', ['platform_key_conflict']);

const requestParams = {
  path: z.object({
    kid: z.string().meta({ description: 'The id of a key.', example: '0b7e3a52-6a0c-4a7b-b1f0-6f0e6a2d9c11' }),
  }),
};

/** What every operation on keys has. */
const admin = { tags: ['Keys'], security: [{ adminToken: [] }] };
const failures = {
  401: SEEDS.credential,
  429: SEEDS.tooMany,
  431: HEADERS_TOO_LARGE,
  500: SEEDS.internal,
  503: SEEDS.unavailable,
};

const asAdmin = (rest: string): string => `printf 'authorization: Bearer %s' "$ADMIN_TOKEN" | curl -s -H @- ${rest}`;

/** Rotation of the platform's keys. */
export const PLATFORM_KEY_PATHS: ZodOpenApiPathsObject = {
  '/admin/keys': {
    servers: [IDPROXY_SERVER],
    get: {
      ...admin,
      operationId: 'listPlatformKeys',
      summary: "List the platform's keys",
      description: 'Every key with its state and times. Public keys are in the JWKS; private ones are shown nowhere.',
      responses: { 200: toJsonResponse('The keys.', platformKeyList), ...failures },
      ...toCurlSample(asAdmin('"$IDPROXY/admin/keys"')),
    },
    post: {
      ...admin,
      operationId: 'rotatePlatformKey',
      summary: 'Make a new key',
      description:
        'It is in the JWKS at once and used from `activatesAt` on. The keys before it get an end, 30 days after that, where ' +
        'they have none.',
      requestBody: toJsonBody(platformKeyRequest),
      responses: {
        201: toJsonResponse('The new key.', platformKeyView),
        400: SEEDS.badRequest,
        409: conflict,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(asAdmin(`"$IDPROXY/admin/keys" \\\n  -H 'content-type: application/json' -d '{"use":"enc"}'`)),
    },
  },
  '/admin/keys/{kid}': {
    servers: [IDPROXY_SERVER],
    patch: {
      ...admin,
      operationId: 'retirePlatformKey',
      summary: 'Set the end of a key',
      description: 'Sooner or later than it was. Another key of the same use must be used by then, and have no end.',
      requestParams,
      requestBody: toJsonBody(platformKeyPatch),
      responses: {
        200: toJsonResponse('The key as it is now.', platformKeyView),
        400: SEEDS.badRequest,
        404: notFound,
        409: conflict,
        ...toBodyFailures(SEEDS),
        ...failures,
      },
      ...toCurlSample(
        asAdmin(
          `-X PATCH "$IDPROXY/admin/keys/$KID" \\\n  -H 'content-type: application/json' -d '{"retiresInSeconds":604800}'`,
        ),
      ),
    },
    delete: {
      ...admin,
      operationId: 'deletePlatformKey',
      summary: 'Delete a key at once',
      description: 'What was encrypted for it or signed with it is refused from now on. The last one stays.',
      requestParams,
      responses: {
        204: { description: 'It is gone.' },
        400: SEEDS.badPath,
        404: notFound,
        409: conflict,
        ...failures,
      },
      ...toCurlSample(asAdmin('-X DELETE "$IDPROXY/admin/keys/$KID"')),
    },
  },
};
