import { type AdminCheck, loadAdminToken } from '../apps/admin-token.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { MAX_SOCKET_HEADER_BYTES, type RunningServer, startServer } from '../http/server.ts';
import type { Store } from '../stores/ports.ts';
import type { Vault } from '../vault/vault.ts';
import { keepAuditFor } from './audit-retention.ts';
import { createKeySetReader } from './key-set-reader.ts';
import { createPlatform, type Platform } from './create-platform.ts';
import { loadBot } from './load-bot.ts';
import { loadIdentities } from './service-identities.ts';
import { loadKeyList, openStore, type ServerBase, toGatewayUrls, toListenAt } from './runtime.ts';

/** An idproxy that listens, with the store it opened. */
export interface RunningIdproxy {
  readonly server: RunningServer;
  readonly store: Store;
  readonly vault: Vault;
  readonly isAdmin: AdminCheck;
  /** The platform's keys. */
  readonly keyring: Platform['keyring'];
  /** The admin token, where this start made it. */
  readonly madeAdminToken: string | undefined;
  /** Under what URL it is reached. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the configured idproxy. `print` is told an admin token that was made. */
export async function startIdproxy(
  config: Config,
  base: ServerBase,
  print: (text: string) => void,
): Promise<RunningIdproxy> {
  const introspectionKeys = loadKeyList('COUNTERSIGN_INTROSPECTION_KEYS_FILE', config.introspectionKeys);
  const contextKeys = loadKeyList('COUNTERSIGN_CONTEXT_KEYS_FILE', config.contextKeys);
  const bot = await loadBot(config, { fetch, clock: systemClock, logger: base.logger });
  const getText = createKeySetReader(config);
  const serviceIdentities = await loadIdentities(config, base);
  const { store, vault } = await openStore(config, (detail) => base.logger.warn({ detail }, 'store'));
  try {
    const { isAdmin, made } = await loadAdminToken(config.keysDir, config.adminToken);
    // At once: what goes wrong after this must not make the only showing of it fail.
    if (made !== undefined) print(`admin token, shown once and kept nowhere: ${made}`);
    let url = config.publicUrl ?? '';
    const platform = createPlatform(
      {
        publicUrl: () => url,
        rateLimitPerMinute: config.rateLimitPerMinute,
        refusedAssertionsPerMinute: config.refusedAssertionsPerMinute,
        botTimeoutMs: config.botTimeoutMs,
        connectorsPerCompany: config.connectorsPerCompany,
        gatewayUrls: toGatewayUrls(config),
        socketLimits: { maxSocketsPerAddress: config.socketsPerAddress },
        cors: {
          origins: config.corsOrigins,
          allowLoopback: config.program === 'start' && config.isLoopback,
          allowCredentials: false,
        },
      },
      {
        ...base,
        store,
        vault,
        clock: systemClock,
        isAdmin,
        introspectionKeys,
        contextKeys,
        bot,
        getText,
        serviceIdentities,
        ...(config.sharedLimits && { sharedCounters: store.counters }),
      },
    );
    const stopExpiry = keepAuditFor(config.auditDays, { store, clock: systemClock, logger: base.logger });
    const server = await startServer(platform.app, toListenAt(config, config.idproxyPort), {
      onUpgrade: platform.onUpgrade,
      maxHeaderBytes: MAX_SOCKET_HEADER_BYTES,
    });
    url ||= server.url;
    const close = async (): Promise<void> => {
      stopExpiry();
      await Promise.all([server.close(), platform.close()]);
      serviceIdentities.close();
      await store.close();
    };
    return { server, store, vault, isAdmin, madeAdminToken: made, url, close, keyring: platform.keyring };
  } catch (error) {
    serviceIdentities.close();
    await store.close();
    throw error;
  }
}
