import { Router, type Response } from 'express';

import type { Logger } from '../../http/access-log.ts';
import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import type { Routes } from '../../http/create-app.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import type { PresenceStore } from '../../stores/ports.ts';
import type { CallerRegistry } from '../caller-registry.ts';
import type { ConnectorRegistry } from '../connector-registry.ts';
import { readStatuses } from '../connector-status.ts';
import { toCallerView, toCertifiedView, toConnectorView } from '../connector-view.ts';
import type { Connector } from '../connector.ts';
import type { BuiltPackage, PackageSystem } from '../packages/build-package.ts';
import { callerRequest, certificateRequest, connectorPatch, connectorRequest, packageQuery } from '../schemas.ts';

/** A body that registers or certifies a connector, in bytes. */
export const MAX_CONNECTOR_BODY_BYTES = 32_768;

/** The agent's package for a connector: its authority and its gateway's address are inside. */
export type PackConnector = (connector: Connector, os: PackageSystem) => Promise<BuiltPackage>;

export interface GatewayAdminDeps {
  readonly connectors: ConnectorRegistry;
  readonly callers: CallerRegistry;
  readonly presence: PresenceStore;
  readonly packConnector: PackConnector;
  readonly logger: Logger;
}

/** `/admin/connectors…` and `/admin/callers…`. Behind the guard of everything below `/admin`. */
export function createGatewayAdminRoutes(deps: GatewayAdminDeps): Routes {
  return [createConnectorRoutes(deps), createCertificateRoutes(deps), createCallerRoutes(deps)];
}

type Id = { readonly id: string };

function createConnectorRoutes({ connectors, presence, packConnector, logger }: GatewayAdminDeps): Router {
  const router = Router({ caseSensitive: true });
  const log = (act: string, connectorId: string): void => logger.info({ act, connectorId }, 'admin act');
  const send = async (res: Response, status: number, connector: Connector): Promise<void> => {
    const statusOf = await readStatuses(presence, connector.id);
    sendJson(res, status, toConnectorView(connector, statusOf(connector.id)));
  };

  router
    .route('/admin/connectors')
    .get(async function listConnectors(_req, res) {
      const [list, statusOf] = await Promise.all([connectors.list(), readStatuses(presence)]);
      sendJson(res, 200, { connectors: list.map((one) => toConnectorView(one, statusOf(one.id))) });
    })
    .post(readBody(MAX_CONNECTOR_BODY_BYTES), async function createConnector(req, res) {
      const connector = await connectors.create(checkShape(connectorRequest, req.body));
      log('connector created', connector.id);
      res.setHeader('Location', `/admin/connectors/${connector.id}`);
      await send(res, 201, connector);
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/connectors/:id')
    .get(async function showConnector(req, res) {
      await send(res, 200, await connectors.get(req.params.id));
    })
    .patch(readBody(MAX_CONNECTOR_BODY_BYTES), async function updateConnector(req, res) {
      const connector = await connectors.update(req.params.id, checkShape(connectorPatch, req.body));
      log('connector updated', connector.id);
      await send(res, 200, connector);
    })
    .delete(async function deleteConnector(req, res) {
      await connectors.remove(req.params.id);
      log('connector deleted', req.params.id);
      res.status(204).end();
    })
    .all(allowOnly('GET, PATCH, DELETE'));
  for (const act of ['enable', 'disable'] as const) {
    router
      .route(`/admin/connectors/:id/${act}`)
      .post<Id>(async function enableOrDisable(req, res) {
        const connector = await connectors[act](req.params.id);
        log(`connector ${act}d`, connector.id);
        await send(res, 200, connector);
      })
      .all(allowOnly('POST'));
  }
  router
    .route('/admin/connectors/:id/package')
    .get(async function downloadPackage(req, res) {
      const { os } = checkShape(packageQuery, req.query);
      const connector = await connectors.get(req.params.id);
      const { fileName, contentType, bytes } = await packConnector(connector, os);
      log('connector package handed out', connector.id);
      res.setHeader('Content-Type', contentType);
      res.setHeader('Content-Disposition', `attachment; filename="${fileName}"`);
      res.setHeader('Content-Length', bytes.byteLength);
      res.setHeader('Cache-Control', 'no-store');
      res.end(bytes);
    })
    .all(allowOnly('GET'));
  return router;
}

function createCertificateRoutes({ connectors, presence, logger }: GatewayAdminDeps): Router {
  const router = Router({ caseSensitive: true });
  const log = (act: string, connectorId: string, serial: string): void =>
    logger.info({ act, connectorId, serial }, 'admin act');

  router
    .route('/admin/connectors/:id/certificate')
    .post(readBody(MAX_CONNECTOR_BODY_BYTES), async function certifyConnector(req, res) {
      const { csr } = checkShape(certificateRequest, req.body);
      const certified = await connectors.addCertificate(req.params.id, csr);
      log('certificate signed', req.params.id, certified.serial);
      sendJson(res, 200, toCertifiedView(certified));
    })
    .all(allowOnly('POST'));
  router
    .route('/admin/connectors/:id/certificates/:serial/revoke')
    .post(async function revokeCertificate(req, res) {
      const { id, serial } = req.params;
      const connector = await connectors.revokeCertificate(id, serial);
      log('certificate revoked', id, serial);
      sendJson(res, 200, toConnectorView(connector, (await readStatuses(presence, id))(id)));
    })
    .all(allowOnly('POST'));
  return router;
}

function createCallerRoutes({ callers, logger }: GatewayAdminDeps): Router {
  const router = Router({ caseSensitive: true });
  const log = (act: string, callerId: string): void => logger.info({ act, callerId }, 'admin act');

  router
    .route('/admin/callers')
    .get(async function listCallers(_req, res) {
      sendJson(res, 200, { callers: (await callers.list()).map(toCallerView) });
    })
    .post(readBody(MAX_CONNECTOR_BODY_BYTES), async function createCaller(req, res) {
      const { caller, token } = await callers.create(checkShape(callerRequest, req.body));
      log('caller created', caller.id);
      res.setHeader('Location', `/admin/callers/${caller.id}`);
      sendJson(res, 201, { ...toCallerView(caller), token });
    })
    .all(allowOnly('GET, POST'));
  router
    .route('/admin/callers/:id')
    .delete(async function deleteCaller(req, res) {
      await callers.remove(req.params.id);
      log('caller deleted', req.params.id);
      res.status(204).end();
    })
    .all(allowOnly('DELETE'));
  return router;
}
