import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { signWebhook, toSigningKey } from '../../core/webhook-signature.ts';
import type { Logger } from '../../http/access-log.ts';
import {
  findField,
  MAX_CARRIED_FIELDS,
  MAX_WEBHOOK_BYTES,
  parseWebhookPath,
  toCarriedFields,
  WEBHOOK_ID,
  WEBHOOK_ID_FIELD,
  WEBHOOK_TIMEOUT_MS,
} from '../../tunnel/services.ts';
import type { ConnectorDirectory } from '../connector-directory.ts';
import type { Service, ServiceAnswer, ServiceCall } from './service.ts';

/** Where webhooks may go. The URL may hold a credential in its query: it is in no log and no answer. */
export interface Target {
  readonly name: string;
  readonly url: string;
}

export interface WebhookDeps {
  /** SECURITY: connectors name one of these; no other URL is ever called for them. */
  readonly targets: readonly Target[];
  readonly secret: Secret | undefined;
  readonly directory: Pick<ConnectorDirectory, 'findConnector'>;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
  /** What a target is given; {@link WEBHOOK_TIMEOUT_MS} where it is left out. */
  readonly timeoutMs?: number;
}

const malformed = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });
const failed = (detail: string): AppError => new AppError('service_failed', { values: { detail } });

/**
 * Delivers what on-premises applications push. A 2xx of the target is told as it is, and so is a 4xx: sending it again
 * would not help. Whatever may be over later comes back as a failure of the gateway's, by its `connectorError`.
 */
export function createWebhookService(deps: WebhookDeps): Service {
  const { directory, fetch, clock, logger, timeoutMs = WEBHOOK_TIMEOUT_MS } = deps;
  const key = deps.secret && toSigningKey(deps.secret);
  const targets = new Map(deps.targets.flatMap((target) => [[target.url, target] as const, [target.name, target] as const])); // prettier-ignore

  const findTarget = (path: string): Target => {
    const name = parseWebhookPath(path);
    const target = name === undefined ? undefined : targets.get(name);
    if (target !== undefined) return target;
    throw new AppError('service_url_forbidden', {
      values: { detail: 'the gateway knows no webhook target of this name (COUNTERSIGN_WEBHOOK_TARGETS)' },
    });
  };

  const post = async (url: string, id: string, { agent, head, body, signal }: ServiceCall): Promise<Response> => {
    const headers = new Headers({ 'user-agent': 'countersign-gateway', 'x-connector-id': agent.connectorId });
    const carried = toCarriedFields(head.fields);
    for (let at = 0; at < carried.length; at += 2) headers.set(carried[at] ?? '', carried[at + 1] ?? '');
    headers.set(WEBHOOK_ID_FIELD, id);
    const signed = key === undefined ? {} : signWebhook(key, id, clock.nowSeconds(), body);
    for (const [name, value] of Object.entries<string>({ ...signed })) headers.set(name, value);
    const inTime = AbortSignal.timeout(timeoutMs);
    try {
      // SECURITY: a redirect would carry the message to a host that nobody put on the list.
      return await fetch(url, {
        method: 'POST',
        headers,
        body: new Uint8Array(body),
        redirect: 'manual',
        signal: AbortSignal.any([signal, inTime]),
      });
    } catch (error) {
      if (inTime.aborted) throw new AppError('service_timeout');
      // The cause stays behind: it knows addresses, and perhaps the URL.
      throw new AppError('service_unreachable', { values: { detail: toFailure(error) } });
    }
  };

  return {
    maxBytes: MAX_WEBHOOK_BYTES,
    serve: async (call) => {
      const { agent, head, body } = call;
      const id = findField(head.fields, WEBHOOK_ID_FIELD) ?? '';
      if (!WEBHOOK_ID.test(id)) throw malformed(`${WEBHOOK_ID_FIELD} is missing or malformed`);
      if (toCarriedFields(head.fields).length > MAX_CARRIED_FIELDS * 2) throw malformed('too many header fields');
      const target = findTarget(head.target);
      // A connector that is enabled a moment later finds its messages delivered then.
      if (directory.findConnector(agent.connectorId)?.enabled !== true) throw new AppError('connector_not_enabled');
      const startedAt = performance.now();
      const response = await post(target.url, id, call);
      await response.body?.cancel();
      const { status } = response;
      const ms = Math.round(performance.now() - startedAt);
      logger.info(
        { connectorId: agent.connectorId, webhookId: id, target: target.name, bytes: body.length, status, ms },
        'webhook',
      );
      return toAnswer(response);
    },
  };
}

function toAnswer({ status, headers }: Response): ServiceAnswer {
  // A redirect, and an answer that is none, too: the target is not set up as it should be.
  if (status < 200 || (status >= 300 && status < 400) || status >= 500) throw failed(`it answered ${status}`);
  const retryAfter = headers.get('retry-after') ?? '';
  const fields = /^\d{1,6}$/.test(retryAfter) ? ['Retry-After', retryAfter] : [];
  return { status, fields, body: '' };
}

/** The system's code of a failed request, such as `ECONNREFUSED`. */
function toFailure(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'no answer';
}
