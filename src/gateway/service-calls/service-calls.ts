import type { Readable } from 'node:stream';

import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../http/access-log.ts';
import type { Fields } from '../../tunnel/messages.ts';
import type { Caller } from '../connector.ts';
import { createDirectCalls, type DirectCallsDeps } from './direct-calls.ts';
import type { CallBody, ServiceAnswer } from './exchange.ts';
import { toRequestFields } from './header-fields.ts';
import type { ServiceIdentities } from './identities.ts';
import { CALL_LIMITS, type CallLimits } from './limits.ts';
import type { ServiceCallOptions, StreamedCall } from './schemas.ts';
import { parseServiceUrl } from './service-url.ts';

/** A call that goes through a connector. */
export interface ConnectorCall {
  readonly caller: Caller;
  /** Where the caller names one. */
  readonly connectorId?: string | undefined;
  /** Virtual host, lower case, and virtual port. */
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** Path and query, the original bytes; nothing in it was checked. */
  readonly target: string;
  /** Without `Host` and those of a connection; `content-length` where it is known. */
  readonly fields: Fields;
  readonly body: Readable | Buffer | undefined;
  readonly requestId: string | undefined;
  /** Aborted when the caller has gone or the time is over; ends the answer's body, too. */
  readonly signal: AbortSignal;
}

export interface ServiceCallsDeps extends Pick<DirectCallsDeps, 'rules' | 'lookup' | 'plainContext'> {
  readonly identities: ServiceIdentities;
  readonly logger: Logger;
  /** Whether a connector is enabled that the caller may use. */
  readonly hasConnector: (caller: Caller) => Promise<boolean>;
  /** @throws AppError `application_…`, `path_forbidden`, `connector_…` */
  readonly callConnector: (call: ConnectorCall) => Promise<ServiceAnswer>;
  readonly limits?: Partial<CallLimits>;
}

/** Who calls, in which request. */
export interface CallContext {
  readonly caller: Caller;
  readonly requestId: string | undefined;
  /** `X-Connector`: which connector a call through one is for. */
  readonly connectorId?: string | undefined;
}

/** Calls of services on behalf of callers. */
export interface ServiceCalls {
  options(caller: Caller): Promise<ServiceCallOptions>;
  /**
   * `cut` ends the call, the answer's body included.
   * @throws AppError
   */
  call(
    call: StreamedCall,
    body: CallBody | undefined,
    context: CallContext,
    cut: AbortController,
  ): Promise<ServiceAnswer>;
}

/** Service calls by both ways. */
export function createServiceCalls(deps: ServiceCallsDeps): ServiceCalls {
  const { rules, identities, logger, hasConnector, callConnector } = deps;
  const limits = { ...CALL_LIMITS, ...deps.limits };
  const callDirectly = createDirectCalls({ ...deps, limits });

  const direct = (call: StreamedCall, body: CallBody | undefined, cut: AbortController): Promise<ServiceAnswer> => {
    const { method, identity: name } = call;
    const url = parseServiceUrl(call.url);
    if (name !== undefined && !url.isSecure) throw invalid('"identity" goes with https alone');
    const identity = url.isSecure ? identities.select(name) : undefined;
    const request = { method, url, fields: toRequestFields(call.headers), body };
    return callDirectly({ request, identity, followsRedirects: call.redirect === 'follow' }, cut);
  };

  const through = async (
    call: StreamedCall,
    body: CallBody | undefined,
    { caller, requestId, connectorId }: CallContext,
    cut: AbortController,
  ): Promise<ServiceAnswer> => {
    if (call.identity !== undefined) throw invalid('"identity" goes with direct calls alone');
    if (call.redirect === 'follow') throw invalid('"redirect" goes with direct calls alone');
    const { host, port, target } = parseServiceUrl(call.url);
    const fields = toRequestFields(call.headers);
    if (!(await hasConnector(caller))) throw new AppError('connector_not_enabled');
    const length = body?.length;
    return callConnector({
      caller,
      connectorId,
      host,
      port,
      method: call.method,
      target,
      fields: length === undefined ? fields : [...fields, 'content-length', String(length)],
      body: Buffer.isBuffer(body) ? body : body?.stream,
      requestId,
      signal: cut.signal,
    });
  };

  return {
    options: async (caller) => ({
      direct: { available: rules.size > 0, identities: [...identities.names()] },
      connector: { available: await hasConnector(caller) },
    }),
    call: async (call, body, context, cut) => {
      const late = new AppError('service_timeout', { detail: 'the whole call took too long' });
      const timer = setTimeout(() => cut.abort(late), limits.totalMs);
      const startedAt = performance.now();
      let status: number | undefined;
      const finish = (): void => {
        clearTimeout(timer);
        logCall(logger, call, context, { status, ms: Math.round(performance.now() - startedAt) });
      };
      try {
        const answer = await (call.via === 'direct' ? direct(call, body, cut) : through(call, body, context, cut));
        status = answer.status;
        if (answer.body.closed) finish();
        else answer.body.once('close', finish);
        return answer;
      } catch (error) {
        finish();
        throw error;
      }
    },
  };
}

/** SECURITY: path, query, header fields and body are the caller's and the service's own; the log has none of them. */
function logCall(logger: Logger, call: StreamedCall, { caller, requestId }: CallContext, outcome: object): void {
  const { via, method, identity, url } = call;
  const host = URL.canParse(url) ? new URL(url).host : undefined;
  logger.info(
    { act: 'service call', requestId, caller: caller.id, via, method, host, identity, ...outcome },
    'service call',
  );
}

function invalid(detail: string): AppError {
  return new AppError('invalid_request', { values: { detail } });
}
