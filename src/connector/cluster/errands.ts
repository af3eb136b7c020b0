import type { AuditEntry, AuditKind } from '../logs/audit-entry.ts';
import { type Renewal, startRenewal } from '../renewal/renew.ts';
import { type AskGateway, SERVICE_QUESTION, type ServiceReply } from '../service-call.ts';
import { startWebhooks, type Webhooks, type WebhooksDeps, type WebhooksStatus } from '../webhooks/webhooks.ts';
import { MAX_UNWRITTEN_AUDITS } from './line-sender.ts';
import type { Supervisor } from './supervisor.ts';

export interface ErrandsDeps extends Pick<WebhooksDeps, 'folder' | 'config' | 'log' | 'clock' | 'random'> {
  readonly supervisor: Pick<Supervisor, 'ask'>;
  readonly tell: (kind: AuditKind, fields: AuditEntry) => void;
  /** Audit lines that are not written yet. */
  readonly waitingAudits: () => number;
  /** Key and certificate were replaced. */
  readonly onReplaced: () => void;
}

/** What the primary does beside its workers, by way of their connections. */
export interface Errands {
  /** Absent where there are no webhooks. */
  webhooks(): WebhooksStatus | undefined;
  stop(): Promise<void>;
}

/** Starts what an agent asks of its gateway: delivery of webhooks, renewal of its certificate. */
export function startErrands({ supervisor, tell, waitingAudits, onReplaced, ...shared }: ErrandsDeps): Errands {
  const ask: AskGateway = async (request) =>
    (await supervisor.ask(SERVICE_QUESTION, request)) as ServiceReply | undefined;
  const webhooks: Webhooks | undefined = startWebhooks({
    ...shared,
    ask,
    audit: (fields) => tell('webhook', fields),
    canRecord: () => waitingAudits() < MAX_UNWRITTEN_AUDITS,
  });
  const renewal: Renewal = startRenewal({
    ...shared,
    ask,
    audit: (fields) => tell('certificate', fields),
    onReplaced,
  });
  return {
    webhooks: () => webhooks?.status(),
    stop: async () => {
      await Promise.all([webhooks?.stop(), renewal.stop()]);
    },
  };
}
