import { Router } from 'express';

import type { Logger } from '../../http/access-log.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import type { Routes } from '../../http/create-app.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import type { Keyring } from '../../jose/keyring.ts';
import type { PlatformKeyRegistry } from '../platform-keys/registry.ts';
import { platformKeyPatch, platformKeyRequest } from '../platform-keys/schemas.ts';

/** The body of an act on a key, in bytes. */
export const MAX_KEY_BODY_BYTES = 1_024;

export interface PlatformKeyRoutesDeps {
  readonly registry: PlatformKeyRegistry;
  readonly keyring: () => Promise<Keyring>;
  readonly logger: Logger;
}

/** `/admin/keys…`: rotation of the platform's keys. Behind `guardAdmin`. */
export function createPlatformKeyRoutes({ registry, keyring, logger }: PlatformKeyRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  const log = (act: string, kid: string): void => logger.info({ act, kid }, 'admin act');

  router
    .route('/admin/keys')
    .get(async (_req, res) => {
      // The first use makes the first key, after the proof that this is the master key of the store.
      await keyring();
      sendJson(res, 200, { keys: await registry.list() });
    })
    .post(readBody(MAX_KEY_BODY_BYTES), async (req, res) => {
      const { use, activatesInSeconds } = checkShape(platformKeyRequest, req.body);
      await keyring();
      const key = await registry.rotate(use, activatesInSeconds);
      log('platform key made', key.kid);
      sendJson(res, 201, key);
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/keys/:kid')
    .patch(readBody(MAX_KEY_BODY_BYTES), async (req, res) => {
      const { retiresInSeconds } = checkShape(platformKeyPatch, req.body);
      const key = await registry.retire(req.params.kid, retiresInSeconds);
      log('platform key retired', key.kid);
      sendJson(res, 200, key);
    })
    .delete(async (req, res) => {
      await registry.remove(req.params.kid);
      log('platform key deleted', req.params.kid);
      res.status(204).end();
    })
    .all(allowOnly('PATCH, DELETE'));
  return [router];
}
