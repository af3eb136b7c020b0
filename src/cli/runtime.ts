import { createSecureContext } from 'node:tls';

import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { systemClock } from '../core/clock.ts';
import { createLogger, type Logger } from '../http/access-log.ts';
import { createLogOutput } from '../http/log-output.ts';
import { type KeyList, KeyListError, parseKeyList } from '../http/key-list.ts';
import { createMetrics, type Metrics } from '../http/metrics.ts';
import type { ListenAt } from '../http/server.ts';
import { createStore } from '../stores/create-store.ts';
import type { Store } from '../stores/ports.ts';
import { loadVault } from '../vault/master-key.ts';
import type { Vault } from '../vault/vault.ts';

/** What every server of one process shares. */
export interface ServerBase {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly metricsToken: Config['metricsToken'];
  readonly trustProxy: Config['trustProxy'];
}

export function createServerBase(config: Config): ServerBase {
  return {
    // A gateway has a line for each of many small requests; elsewhere a line is out with its answer.
    logger: createLogger(config.logLevel, createLogOutput(config.program === 'gateway' ? 'moment' : 'turn')),
    metrics: createMetrics(),
    metricsToken: config.metricsToken,
    trustProxy: config.trustProxy,
  };
}

/**
 * Where a server of this process listens.
 * @throws ConfigError when certificate and key cannot be used together
 */
export function toListenAt({ host, tls }: Config, port: number): ListenAt {
  if (tls) {
    try {
      createSecureContext(tls);
    } catch {
      throw new ConfigError([
        'COUNTERSIGN_TLS_CERT_FILE and COUNTERSIGN_TLS_KEY_FILE: are no certificate and its key in PEM',
      ]);
    }
  }
  return { host, port, ...(tls && { tls }) };
}

/** Opens the configured store and the vault. Whoever calls it closes the store. */
export async function openStore(
  config: Config,
  onProblem: (detail: string) => void,
): Promise<{ store: Store; vault: Vault }> {
  const { vault } = await loadVault(config.keysDir, { onProblem });
  const settings =
    config.store === 'redis' && config.redisUrl
      ? ({ kind: 'redis', url: config.redisUrl, waitReplicas: config.redisWaitReplicas } as const)
      : ({ kind: 'embedded', dataDir: config.dataDir } as const);
  return { store: createStore(settings, systemClock, onProblem), vault };
}

/**
 * The callers that a file lists.
 * @throws ConfigError that names the line
 */
export function loadKeyList(variable: string, text = ''): KeyList {
  try {
    return parseKeyList(text);
  } catch (error) {
    if (!(error instanceof KeyListError)) throw error;
    throw new ConfigError([`${variable}: ${error.message}`]);
  }
}

/** Where connectors reach the gateways. */
export function toGatewayUrls({ gatewayUrls, gatewayNames, gatewayAgentPort }: Config): readonly string[] {
  return gatewayUrls.length > 0 ? gatewayUrls : [`https://${gatewayNames[0] ?? 'localhost'}:${gatewayAgentPort}`];
}

/** Resolves when the process is asked to stop. */
export function untilStopped(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
}
