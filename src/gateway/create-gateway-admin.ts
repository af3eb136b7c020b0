import type { Clock } from '../core/clock.ts';
import type { Logger } from '../http/access-log.ts';
import type { Routes } from '../http/create-app.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { type Authority, createAuthority } from './certificates/authority.ts';
import { type CallerRegistry, createCallerRegistry } from './caller-registry.ts';
import { type ConnectorRegistry, createConnectorRegistry } from './connector-registry.ts';
import type { BuiltPackage, PackageRequest } from './packages/build-package.ts';
import { createGatewayAdminRoutes, type PackConnector } from './routes/admin.ts';

export interface GatewayAdminSettings {
  readonly connectorsPerCompany: number;
  /** Where connectors reach the gateways, `https://gateway.example:8443`. */
  readonly gatewayUrls: readonly string[];
}

export interface GatewayAdminDeps {
  readonly store: Pick<Store, 'documents' | 'presence'>;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly buildPackage: (request: PackageRequest) => Promise<BuiltPackage>;
}

/** The gateway's part of the admin API, and what it is made of. */
export interface GatewayAdmin {
  readonly routes: Routes;
  readonly authority: () => Promise<Authority>;
  readonly connectors: ConnectorRegistry;
  readonly callers: CallerRegistry;
  readonly packConnector: PackConnector;
}

/** Puts registries and routes together over one store. Opens nothing. */
export function createGatewayAdmin(
  { connectorsPerCompany, gatewayUrls }: GatewayAdminSettings,
  { store, vault, clock, logger, buildPackage }: GatewayAdminDeps,
): GatewayAdmin {
  const { documents, presence } = store;
  const onProblem = (detail: string): void => logger.error({ detail }, 'gateway admin');
  const authority = createAuthority({ documents, vault, clock });
  const connectors = createConnectorRegistry({ documents, authority, clock, connectorsPerCompany, onProblem });
  const callers = createCallerRegistry({ documents, connectors, clock });
  const packConnector: PackConnector = async ({ id }, os) =>
    buildPackage({ os, addition: { connectorId: id, caPem: (await authority()).caPem, gatewayUrls } });
  const routes = createGatewayAdminRoutes({ connectors, callers, presence, packConnector, logger });
  return { routes, authority, connectors, callers, packConnector };
}
