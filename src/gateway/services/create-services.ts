import { AppError, toAppError } from '../../core/errors.ts';
import type { Logger } from '../../http/access-log.ts';
import type { RequestHead, Service as ServiceName, StreamHandlers, TunnelStream } from '../../tunnel/messages.ts';
import { SERVICE_TIMEOUT_MS } from '../../tunnel/services.ts';
import type { StreamTaker } from '../admit-peers.ts';
import { toErrorAnswer } from '../relay-answers.ts';
import type { Agent } from '../roster.ts';
import { ArrivingBodies } from './arriving-bodies.ts';
import { Places } from './places.ts';
import type { Service, ServiceAnswer } from './service.ts';

/** Until the body of a request for a service is whole, in milliseconds. */
export const SERVICE_BODY_TIMEOUT_MS = 15_000;
/** When an agent may come back that found all places taken, in seconds. */
const RETRY_AFTER_SECONDS = 1;

/** Answers an agent, or counts for nothing where it does not wait any more. */
function answer(stream: TunnelStream, { status, fields, body }: ServiceAnswer, connectorError?: string): void {
  if (stream.isClosed) return;
  stream.respond({ status, reason: '', fields, ...(connectorError !== undefined && { connectorError }) });
  stream.write(Buffer.from(body));
  stream.end();
}

/** SECURITY: an agent that goes on sending to a stream that was refused must not have it kept open, nor what it sends. */
function refuse(stream: TunnelStream, error: AppError): void {
  answer(stream, toErrorAnswer(error), error.code);
  stream.ignoreRest();
}

const busy = (): AppError => new AppError('busy', { values: { seconds: RETRY_AFTER_SECONDS } });

/** What one service has of its own, so that no other one keeps anybody from it. */
interface Lane {
  readonly service: Service;
  readonly arriving: ArrivingBodies;
  readonly places: Places;
}

/** Serves what agents ask of their gateway. */
export function createServices(
  services: Readonly<Record<ServiceName, Service>>,
  logger: Pick<Logger, 'warn'>,
  timeoutMs = SERVICE_TIMEOUT_MS,
): StreamTaker<Agent> {
  const toLane = (service: Service): Lane => ({ service, arriving: new ArrivingBodies(), places: new Places() });
  const lanes: Readonly<Record<ServiceName, Lane>> = {
    webhook: toLane(services.webhook),
    renewal: toLane(services.renewal),
  };

  return (stream, head, isLast, agent) => {
    // An agent may ask for services and for nothing else.
    const lane = 'service' in head.to ? lanes[head.to.service] : undefined;
    if (lane === undefined || head.method !== 'POST' || head.upgrade !== undefined) {
      refuse(stream, new AppError('not_found'));
      return undefined;
    }
    const call = lane.places.hasRoom(agent.connectorId) ? takeCall(stream, lane, head, agent, timeoutMs) : undefined;
    if (call === undefined) {
      refuse(stream, busy());
      return undefined;
    }
    void call.done
      .then((given) => answer(stream, given))
      .catch((thrown: unknown) => {
        const error = toAppError(thrown);
        const { code, detail, cause } = error;
        const reason = detail ?? (cause instanceof Error ? cause.message : undefined);
        logger.warn({ connectorId: agent.connectorId, service: head.to, reason: code, detail: reason }, 'service');
        refuse(stream, error);
      });
    if (isLast) call.handlers.onEnd([]);
    return call.handlers;
  };
}

interface Call {
  readonly handlers: StreamHandlers;
  readonly done: Promise<ServiceAnswer>;
}

/** Takes the body of a request, and has it served once it is whole. @returns undefined where too many are on their way */
function takeCall(
  stream: TunnelStream,
  { service: { maxBytes, serve }, arriving, places }: Lane,
  head: RequestHead,
  agent: Agent,
  timeoutMs: number,
): Call | undefined {
  const { connectorId } = agent;
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
    arrival?.leave();
    fail(error);
    over.abort();
  };
  const arrival = arriving.begin(connectorId, () => end(busy()));
  if (arrival === undefined) return undefined;
  const onTimeout = (): void => end(new AppError('service_timeout'));
  const timer = setTimeout(onTimeout, timeoutMs);
  const bodyTimer = setTimeout(onTimeout, Math.min(timeoutMs, SERVICE_BODY_TIMEOUT_MS));
  const run = async (): Promise<ServiceAnswer> => {
    try {
      const whole = await body.finally(() => clearTimeout(bodyTimer));
      if (!places.enter(connectorId)) throw busy();
      try {
        return await serve({ agent, head, body: whole, signal: over.signal });
      } finally {
        places.leave(connectorId);
      }
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
        if (bytes > maxBytes) {
          end(new AppError('body_too_large', { values: { limit: maxBytes } }));
          return;
        }
        parts.push(chunk);
        arrival.add(chunk.length);
      },
      onEnd: () => {
        if (isTaken) return;
        isTaken = true;
        arrival.leave();
        take(Buffer.concat(parts, bytes));
        parts.length = 0;
      },
      onReset: (code) => end(new AppError('service_failed', { values: { detail: code } })),
    },
  };
}
