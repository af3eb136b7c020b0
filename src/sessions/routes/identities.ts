import { Router } from 'express';

import type { Logger } from '../../http/access-log.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import type { Routes } from '../../http/create-app.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import type { IdentityRegistry } from '../identity-registry.ts';
import { identityLookUp, identityQuery, identityRequest, type IdentityView } from '../identity-schemas.ts';

/** A body that names a user, in bytes. */
export const MAX_IDENTITY_BODY_BYTES = 8_192;

export interface IdentityRoutesDeps {
  readonly registry: IdentityRegistry;
  readonly logger: Logger;
}

/**
 * `/admin/identities…`: the users of the apps. Behind the guard of everything below `/admin`. A subject stands in bodies
 * alone: paths are logged, by us and by whatever stands in front.
 */
export function createIdentityRoutes({ registry, logger }: IdentityRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  // SECURITY: who read personal data is logged as who changed it, and never the subject.
  const log = (act: string, { clientId, userId }: { clientId: string; userId?: string }): void =>
    logger.info({ act, clientId, ...(userId !== undefined && { userId }) }, 'admin act');
  const logged = <T extends IdentityView>(act: string, view: T): T => {
    log(act, view);
    return view;
  };

  router
    .route('/admin/identities')
    .get(async function listIdentities(req, res) {
      const { clientId, limit, cursor } = checkShape(identityQuery, req.query);
      const list = await registry.list(clientId, limit, cursor);
      log('users listed', { clientId });
      sendJson(res, 200, list);
    })
    .post(readBody(MAX_IDENTITY_BODY_BYTES), async function registerIdentity(req, res) {
      const { clientId, subject } = checkShape(identityRequest, req.body);
      const view = logged('user registered', await registry.register(clientId, subject));
      res.setHeader('Location', `/admin/identities/${view.userId}`);
      sendJson(res, 201, view);
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/identities/look-up')
    .post(readBody(MAX_IDENTITY_BODY_BYTES), async function lookUpIdentity(req, res) {
      const { clientId, subject, isAnonymous } = checkShape(identityLookUp, req.body);
      sendJson(res, 200, logged('user looked up', await registry.lookUp(clientId, subject, isAnonymous)));
    })
    .all(allowOnly('POST'));
  router
    .route('/admin/identities/:userId')
    .get(async function showIdentity(req, res) {
      sendJson(res, 200, logged('user shown', await registry.get(req.params.userId)));
    })
    .delete(async function eraseIdentity(req, res) {
      await registry.erase(req.params.userId, (erased) => log('user erased', erased));
      res.status(204).end();
    })
    .all(allowOnly('GET, DELETE'));
  router
    .route('/admin/identities/:userId/export')
    .get(async function exportIdentity(req, res) {
      const exported = await registry.export(req.params.userId);
      log('user exported', exported.identity);
      sendJson(res, 200, exported);
    })
    .all(allowOnly('GET'));
  return [router];
}
