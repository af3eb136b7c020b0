import { join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import type { AppLog } from '../logs/app-log.ts';
import type { AuditEntry } from '../logs/audit-entry.ts';
import type { AskGateway } from '../service-call.ts';
import { createDeliverer, type Deliverer, type DeliverDeps } from './deliver.ts';
import { listenForPushes, type WebhookListener } from './listen.ts';
import { openSpool, type Spool } from './spool.ts';

/** Where an installation keeps webhooks that wait. */
export const SPOOL_FOLDER = 'spool';
/** When the port is tried again that could not be listened on, or the spool that could not be opened, in milliseconds. */
export const OPEN_RETRY_MS = 10_000;
/** How often messages that are too old and keys that are forgotten are looked for, in milliseconds. */
export const TIDY_EVERY_MS = 60_000;

export interface WebhooksDeps {
  /** The installation folder. */
  readonly folder: string;
  readonly config: () => AgentConfig;
  readonly log: AppLog;
  readonly audit: (fields: AuditEntry) => void;
  readonly canRecord: () => boolean;
  readonly ask: AskGateway;
  readonly clock: Clock;
  readonly random: (below: number) => number;
  /** Milliseconds instead of the constants. */
  readonly retry?: Pick<DeliverDeps, 'minRetryMs' | 'maxRetryMs'>;
  readonly openRetryMs?: number;
}

/** What waits, for the status file. */
export interface WebhooksStatus {
  readonly port: number | undefined;
  readonly waiting: number;
  readonly bytes: number;
}

/** The way out for what on-premises applications push. */
export interface Webhooks {
  status(): WebhooksStatus;
  stop(): Promise<void>;
}

/**
 * Starts to take and to deliver webhooks. What cannot be opened is told and tried again: the agent relays meanwhile.
 * @returns undefined where none are configured
 */
export function startWebhooks(deps: WebhooksDeps): Webhooks | undefined {
  const { folder, config, log, audit, canRecord, ask, clock, random, retry = {} } = deps;
  const { openRetryMs = OPEN_RETRY_MS } = deps;
  const settings = config().webhooks;
  if (settings === undefined) return undefined;
  let spool: Spool | undefined;
  let listener: WebhookListener | undefined;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;

  const toSpool = (): Spool => {
    if (spool === undefined) throw new Error('the spool is not open');
    return spool;
  };
  const deliverer: Deliverer = createDeliverer(toSpool, { ask, clock, random, log, audit, ...retry });

  const open = async (): Promise<void> => {
    try {
      if (spool === undefined) {
        spool = await openSpool(join(folder, SPOOL_FOLDER), { clock, log, onAdded: deliverer.add });
        spool.entries().forEach(deliverer.add);
        deliverer.check();
      }
      listener = await listenForPushes({
        port: settings.port,
        routes: () => config().webhooks?.routes ?? [],
        spool,
        canRecord,
        audit,
        onFailure: (error) => log.critical('a webhook could not be taken', { error }),
      });
      log.info('takes webhooks', { port: listener.port, waiting: spool.count });
    } catch (error) {
      log.critical('webhooks cannot be taken; it is tried again', { port: settings.port, error });
      if (!isStopped) timer = setTimeout(() => void (opening = open()), openRetryMs).unref();
    }
  };
  let opening = open();
  const tidying = setInterval(() => {
    deliverer.check();
    void spool?.forgetOldKeys();
  }, TIDY_EVERY_MS).unref();

  return {
    status: () => ({ port: listener?.port, waiting: spool?.count ?? 0, bytes: spool?.bytes ?? 0 }),
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      clearInterval(tidying);
      await opening;
      await listener?.close();
      await deliverer.stop();
    },
  };
}
