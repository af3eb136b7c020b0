import { loadConfig } from '../config/load-config.ts';
import { systemClock, toIsoDate } from '../core/clock.ts';
import { readStatuses } from '../gateway/connector-status.ts';
import { toConnectorView } from '../gateway/connector-view.ts';
import type { Connector } from '../gateway/connector.ts';
import { createGatewayAdmin, type GatewayAdmin } from '../gateway/create-gateway-admin.ts';
import { buildPackage } from '../gateway/packages/build-package.ts';
import { createLogger } from '../http/access-log.ts';
import type { AuditStore } from '../stores/ports.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { openStore, toGatewayUrls } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;
/** The id of a connector or a caller; whatever else somebody wrote in its place may be anything. */
const ID = /^c[nl]-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** A connector as the API shows it. */
export type ShowConnector = (connector: Connector) => Promise<object>;

/** Opens what the gateway's registries need, and closes it when `use` is done. */
export async function withGatewayAdmin<T>(
  env: Readonly<Record<string, string | undefined>>,
  use: (admin: GatewayAdmin, show: ShowConnector, audit: AuditStore) => Promise<T>,
): Promise<T> {
  const config = loadConfig(env, 'tools');
  const { store, vault } = await openStore(config, () => undefined);
  try {
    await waitUntilReady(store, STORE_TIMEOUT_MS);
    const settings = { connectorsPerCompany: config.connectorsPerCompany, gatewayUrls: toGatewayUrls(config) };
    const deps = { store, vault, clock: systemClock, logger: createLogger('silent') };
    const admin = createGatewayAdmin(settings, { ...deps, buildPackage });
    const show: ShowConnector = async (connector) =>
      toConnectorView(connector, (await readStatuses(store.presence, connector.id))(connector.id));
    return await use(admin, show, store.audit);
  } finally {
    await store.close();
  }
}

/** What an entry of the audit trail may say of what was named; anything that is no id is left out. */
export function toActTarget(id: string): { readonly target?: Readonly<Record<string, string>> } {
  return ID.test(id) ? { target: { id } } : {};
}

/** The line of the log for who changed what from the command line. */
export function toActLine(act: string, id: string): string {
  const time = toIsoDate(systemClock.nowSeconds());
  return JSON.stringify({ time, act, ...(ID.test(id) && { id }), msg: 'admin act' });
}
