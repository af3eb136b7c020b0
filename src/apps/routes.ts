import { Router, type Request, type RequestHandler } from 'express';

import { AppError } from '../core/errors.ts';
import type { Logger } from '../http/access-log.ts';
import { readBody } from '../http/body.ts';
import { checkShape } from '../http/check.ts';
import type { Routes } from '../http/create-app.ts';
import { allowOnly } from '../http/refusals.ts';
import { readBearer } from '../http/credentials.ts';
import { limitRate } from '../http/rate-limit.ts';
import { sendJson } from '../http/respond.ts';
import type { Keyring } from '../jose/keyring.ts';
import type { AdminCheck } from './admin-token.ts';
import { toAppView } from './app-document.ts';
import type { AppKeys } from './keys/app-keys.ts';
import { toAppKeyView } from './keys/key-view.ts';
import { appKeyPatch, appKeyRequest } from './keys/schemas.ts';
import type { AppRegistry } from './registry.ts';
import { appPatch, appRequest } from './schemas.ts';

/** A registration's body, in bytes. */
export const MAX_ADMIN_BODY_BYTES = 32_768;

export interface AdminGuardDeps {
  readonly isAdmin: AdminCheck;
  /** All that is guarded together. */
  readonly rateLimitPerMinute: number;
}

/** SECURITY: stands before every route below `/admin`, whichever room it belongs to. */
export function guardAdmin({ isAdmin, rateLimitPerMinute }: AdminGuardDeps): readonly RequestHandler[] {
  return [
    limitRate({ perMinute: rateLimitPerMinute, refusal: 'rate_limited' }),
    function checkAdminToken(req, _res, next) {
      checkAdmin(req, isAdmin);
      next();
    },
  ];
}

export interface AppRoutesDeps {
  readonly registry: AppRegistry;
  readonly appKeys: AppKeys;
  readonly keyring: () => Promise<Keyring>;
  readonly logger: Logger;
}

/** `/admin/apps…`: registration, and the keys of apps. Behind {@link guardAdmin}. */
export function createAppRoutes({ registry, appKeys, keyring, logger }: AppRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  const log = (act: string, clientId: string, kid?: string): void => logger.info({ act, clientId, kid }, 'admin act');

  router
    .route('/admin/apps')
    .get(async (_req, res) => {
      sendJson(res, 200, { apps: (await registry.list()).map(toAppView) });
    })
    .post(readBody(MAX_ADMIN_BODY_BYTES), async (req, res) => {
      const request = checkShape(appRequest, req.body);
      const { current } = await keyring();
      const { app, clientSecret } = await registry.create(request);
      log('app created', app.clientId);
      res.setHeader('Location', `/admin/apps/${app.clientId}`);
      sendJson(res, 201, { ...toAppView(app), ...(clientSecret !== undefined && { clientSecret }), jwk: current.jwk });
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/apps/:clientId')
    .get(async (req, res) => {
      sendJson(res, 200, toAppView(await registry.get(req.params.clientId)));
    })
    .patch(readBody(MAX_ADMIN_BODY_BYTES), async (req, res) => {
      const app = await registry.update(req.params.clientId, checkShape(appPatch, req.body));
      log('app updated', app.clientId);
      sendJson(res, 200, toAppView(app));
    })
    .delete(async (req, res) => {
      await registry.remove(req.params.clientId);
      log('app deleted', req.params.clientId);
      res.status(204).end();
    })
    .all(allowOnly('GET, PATCH, DELETE'));
  router
    .route('/admin/apps/:clientId/keys')
    .get(async (req, res) => {
      sendJson(res, 200, { keys: (await appKeys.list(req.params.clientId)).map(toAppKeyView) });
    })
    .post(readBody(MAX_ADMIN_BODY_BYTES), async (req, res) => {
      const { clientId } = req.params;
      const { key, clientSecret } = await appKeys.add(clientId, checkShape(appKeyRequest, req.body));
      log('app key added', clientId, key.kid);
      res.setHeader('Location', `/admin/apps/${clientId}/keys/${key.kid}`);
      sendJson(res, 201, { ...toAppKeyView(key), ...(clientSecret !== undefined && { clientSecret }) });
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/apps/:clientId/keys/:kid')
    .patch(readBody(MAX_ADMIN_BODY_BYTES), async (req, res) => {
      const { clientId, kid } = req.params;
      const key = await appKeys.change(clientId, kid, checkShape(appKeyPatch, req.body));
      log('end of app key set', clientId, kid);
      sendJson(res, 200, toAppKeyView(key));
    })
    .delete(async (req, res) => {
      const { clientId, kid } = req.params;
      await appKeys.remove(clientId, kid);
      log('app key removed', clientId, kid);
      res.status(204).end();
    })
    .all(allowOnly('PATCH, DELETE'));
  return [router];
}

function checkAdmin(req: Request, isAdmin: AdminCheck): void {
  const token = readBearer(req);
  if (token === undefined) throw new AppError('credential_missing');
  if (!isAdmin(token)) throw new AppError('credential_invalid');
}
