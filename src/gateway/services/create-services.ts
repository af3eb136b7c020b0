import { AppError, toAppError } from '../../core/errors.ts';
import type { Logger } from '../../http/access-log.ts';
import type { RequestHead, Service as ServiceName, StreamHandlers, TunnelStream } from '../../tunnel/messages.ts';
import { SERVICE_TIMEOUT_MS } from '../../tunnel/services.ts';
import type { StreamTaker } from '../accept-agents.ts';
import { toErrorAnswer } from '../relay-answers.ts';
import type { Agent } from '../roster.ts';
import type { Service, ServiceAnswer } from './service.ts';

/** Requests of agents for services that are under way in one process; each may hold a whole webhook in memory. */
export const MAX_SERVICE_CALLS = 64;
/** The same for one connector, so that one alone cannot keep the others from theirs. */
export const MAX_SERVICE_CALLS_PER_CONNECTOR = 16;
/** When an agent may come back that found all places taken, in seconds. */
const RETRY_AFTER_SECONDS = 1;

/** Answers an agent, or counts for nothing where it does not wait any more. */
function answer(stream: TunnelStream, { status, fields, body }: ServiceAnswer, connectorError?: string): void {
  if (stream.isClosed) return;
  stream.respond({ status, reason: '', fields, ...(connectorError !== undefined && { connectorError }) });
  stream.write(Buffer.from(body));
  stream.end();
}

const refuse = (stream: TunnelStream, error: AppError): void => answer(stream, toErrorAnswer(error), error.code);

/** Serves what agents ask of their gateway. */
export function createServices(
  services: Readonly<Record<ServiceName, Service>>,
  logger: Pick<Logger, 'warn'>,
  timeoutMs = SERVICE_TIMEOUT_MS,
): StreamTaker<Agent> {
  const underWay = new Map<string, number>();
  let total = 0;

  const enter = (connectorId: string): boolean => {
    const own = underWay.get(connectorId) ?? 0;
    if (total >= MAX_SERVICE_CALLS || own >= MAX_SERVICE_CALLS_PER_CONNECTOR) return false;
    underWay.set(connectorId, own + 1);
    total++;
    return true;
  };
  const leave = (connectorId: string): void => {
    const own = underWay.get(connectorId) ?? 0;
    if (own > 1) underWay.set(connectorId, own - 1);
    else underWay.delete(connectorId);
    total--;
  };

  return (stream, head, isLast, agent) => {
    // An agent may ask for services and for nothing else.
    const service = 'service' in head.to ? services[head.to.service] : undefined;
    if (service === undefined || head.method !== 'POST' || head.upgrade !== undefined) {
      refuse(stream, new AppError('not_found'));
      return undefined;
    }
    if (!enter(agent.connectorId)) {
      refuse(stream, new AppError('busy', { values: { seconds: RETRY_AFTER_SECONDS } }));
      return undefined;
    }
    const call = takeCall(stream, service, head, agent, timeoutMs);
    void call.done
      .then((given) => answer(stream, given))
      .catch((thrown: unknown) => {
        const error = toAppError(thrown);
        const { code, detail, cause } = error;
        const reason = detail ?? (cause instanceof Error ? cause.message : undefined);
        logger.warn({ connectorId: agent.connectorId, service: head.to, reason: code, detail: reason }, 'service');
        refuse(stream, error);
      })
      .finally(() => leave(agent.connectorId));
    if (isLast) call.handlers.onEnd([]);
    return call.handlers;
  };
}

interface Call {
  readonly handlers: StreamHandlers;
  readonly done: Promise<ServiceAnswer>;
}

/** Takes the body of a request, and has it served once it is whole. */
function takeCall(
  stream: TunnelStream,
  { maxBytes, serve }: Service,
  head: RequestHead,
  agent: Agent,
  timeoutMs: number,
): Call {
  const parts: Buffer[] = [];
  const over = new AbortController();
  let bytes = 0;
  let isTaken = false;
  let take: (body: Buffer) => void = () => undefined;
  let fail: (error: AppError) => void = () => undefined;
  const body = new Promise<Buffer>((resolve, reject) => {
    take = resolve;
    fail = reject;
  });
  const end = (error: AppError): void => {
    parts.length = 0;
    isTaken = true;
    fail(error);
    over.abort();
  };
  const timer = setTimeout(() => end(new AppError('service_timeout')), timeoutMs);
  const run = async (): Promise<ServiceAnswer> => {
    try {
      return await serve({ agent, head, body: await body, signal: over.signal });
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    done: run(),
    handlers: {
      onData: (chunk) => {
        stream.consumed(chunk.length);
        if (isTaken) return;
        bytes += chunk.length;
        if (bytes > maxBytes) end(new AppError('body_too_large', { values: { limit: maxBytes } }));
        else parts.push(chunk);
      },
      onEnd: () => {
        if (isTaken) return;
        isTaken = true;
        take(Buffer.concat(parts, bytes));
      },
      onReset: (code) => end(new AppError('service_failed', { values: { detail: code } })),
    },
  };
}
