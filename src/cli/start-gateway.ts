import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';

import { createPlatformKeys } from '../apps/platform-keys.ts';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { parseWebhookTargets } from '../config/webhook-targets.ts';
import { systemClock } from '../core/clock.ts';
import { createConnectorCaller } from '../gateway/call-connector.ts';
import { authenticateCaller } from '../gateway/caller-credential.ts';
import { createCallerDirectory } from '../gateway/caller-registry.ts';
import { createAuthority, isServerName } from '../gateway/certificates/authority.ts';
import { createConnectorDirectory } from '../gateway/connector-directory.ts';
import { createConnectorRegistry } from '../gateway/connector-registry.ts';
import { createGateway, type Gateway } from '../gateway/create-gateway.ts';
import { createRenewalService } from '../gateway/services/renewal.ts';
import { createServices } from '../gateway/services/create-services.ts';
import { createWebhookService } from '../gateway/services/webhooks.ts';
import { ERROR_FIELD } from '../gateway/relay-answers.ts';
import { createServiceCallRoutes } from '../gateway/routes/service-calls.ts';
import { createServiceCalls } from '../gateway/service-calls/service-calls.ts';
import { createApp } from '../http/create-app.ts';
import { type RunningServer, SHUTDOWN_GRACE_MS, startServer } from '../http/server.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { loadIdentities, readHostRules } from './service-identities.ts';
import { openStore, type ServerBase, toListenAt } from './runtime.ts';

/** All header fields of a request to the caller port together, in bytes: what a head in the tunnel can hold. */
export const MAX_CALLER_HEADER_BYTES = 24_576;
/** Until the whole of a request has come to the caller port, in milliseconds: large bodies are relayed as they come. */
export const CALLER_REQUEST_TIMEOUT_MS = 3_600_000;

/** How long a gateway that starts waits for its store, in milliseconds. */
export const STORE_TIMEOUT_MS = 30_000;

/** A gateway that listens, with the store it opened. */
export interface RunningGateway {
  /** The caller port. */
  readonly server: RunningServer;
  readonly gateway: Gateway;
  readonly storeDescription: string;
  close(): Promise<void>;
}

/** Starts the configured gateway. */
export async function startGateway(config: Config, base: ServerBase, version: string): Promise<RunningGateway> {
  const { logger, metrics } = base;
  const wrong = config.gatewayNames.find((name) => !isServerName(name));
  if (wrong !== undefined)
    throw new ConfigError([`COUNTERSIGN_GATEWAY_NAMES: "${wrong}" is no host name and no address`]);
  const onProblem = (detail: string): void => logger.warn({ detail }, 'store');
  const rules = readHostRules(config);
  const identities = await loadIdentities(config, base);
  const { store, vault } = await openStore(config, onProblem);
  const closing: (() => Promise<void> | void)[] = [() => identities.close(), () => store.close()];
  const closeAll = async (): Promise<void> => {
    for (const close of closing.toReversed()) await close();
  };
  try {
    const { documents, presence } = store;
    await waitUntilReady(store, STORE_TIMEOUT_MS);
    // SECURITY: before an authority is sealed under this master key, what is sealed already must open under it.
    const platformKeys = createPlatformKeys({ documents, vault, clock: systemClock });
    await platformKeys.keyring().finally(platformKeys.close);
    const known = { documents, clock: systemClock, onProblem };
    const directory = createConnectorDirectory(known);
    const callers = createCallerDirectory(known);
    closing.push(directory.close, callers.close);
    const authority = createAuthority({ documents, vault, clock: systemClock });
    const gateway = await createGateway(
      {
        host: config.host,
        agentPort: config.gatewayAgentPort,
        names: config.gatewayNames,
        nodeAddress: config.gatewayNodeAddress,
        version,
        callsPerCaller: config.gatewayCallsPerCaller,
      },
      {
        authority,
        directory,
        callers,
        presence,
        clock: systemClock,
        logger,
        onService: createServices(
          {
            webhook: createWebhookService({
              targets: parseWebhookTargets(config.webhookTargets) ?? [],
              secret: config.webhookSecret,
              directory,
              fetch,
              clock: systemClock,
              logger,
            }),
            renewal: createRenewalService({
              connectors: createConnectorRegistry({
                ...known,
                authority,
                connectorsPerCompany: config.connectorsPerCompany,
              }),
              logger,
            }),
          },
          logger,
        ),
        countRelayed: metrics.countRelayed,
        setAgentCount: metrics.setAgentCount,
      },
    );
    closing.push(() => gateway.close());
    const checks = {
      store: async () => {
        const health = await store.health();
        return health.isReady ? undefined : health.problem;
      },
    };
    const calls = createServiceCalls({
      rules,
      identities,
      logger,
      lookup: (host) => lookup(host, { all: true, verbatim: true }),
      ...createConnectorCaller(gateway.ways),
    });
    const authenticate = (req: IncomingMessage) => authenticateCaller(req, 'authorization', callers);
    const app = createApp({ ...base, name: 'gateway', checks, errorField: ERROR_FIELD }, (express) => {
      express.use(...createServiceCallRoutes({ calls, authenticate }));
    });
    const { takeRequest, takeUpgrade, refuseConnect, cutUpgraded } = gateway.front;
    const server = await startServer(app, toListenAt(config, config.gatewayCallerPort), {
      maxHeaderBytes: MAX_CALLER_HEADER_BYTES,
      requestTimeoutMs: CALLER_REQUEST_TIMEOUT_MS,
      takeRequest,
      onUpgrade: takeUpgrade,
      onConnect: refuseConnect,
      errorField: ERROR_FIELD,
    });
    closing.push(async () => {
      const cut = setTimeout(cutUpgraded, SHUTDOWN_GRACE_MS);
      await server.close();
      clearTimeout(cut);
    });
    return { server, gateway, storeDescription: store.description, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
