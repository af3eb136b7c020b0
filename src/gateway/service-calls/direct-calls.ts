import { createSecureContext, type SecureContext } from 'node:tls';

import { AppError } from '../../core/errors.ts';
import type { Lookup } from '../../http/outbound/destination.ts';
import { connectTo } from './connect.ts';
import { findAddresses } from './destination.ts';
import { exchange, type ServiceAnswer, type ServiceRequest } from './exchange.ts';
import type { HostRules } from './host-rules.ts';
import type { ServiceIdentity } from './identity.ts';
import { type CallLimits, MAX_REDIRECTS } from './limits.ts';
import { toNextRequest } from './redirect.ts';

export interface DirectCallsDeps {
  readonly rules: HostRules;
  readonly lookup: Lookup;
  readonly limits: CallLimits;
  /** What calls without an identity verify services by: Node's authorities and `NODE_EXTRA_CA_CERTS`, unless it is given. */
  readonly plainContext?: SecureContext;
}

/** How a call goes out without a connector. */
export interface DirectCall {
  readonly request: ServiceRequest;
  /** Presented to the origin that the call was written for, and to no other. */
  readonly identity: ServiceIdentity | undefined;
  readonly followsRedirects: boolean;
}

/**
 * Calls a service, over a connection of its own. `cut` ends the call, the answer's body included.
 * @throws AppError `service_…`; the reason of `cut`
 */
export type CallDirectly = (call: DirectCall, cut: AbortController) => Promise<ServiceAnswer>;

/** Calls of services that stand on the network. Every one is checked against the rules, and so is every redirect. */
export function createDirectCalls(deps: DirectCallsDeps): CallDirectly {
  const { rules, lookup, limits } = deps;
  const plainContext = deps.plainContext ?? createSecureContext({ minVersion: 'TLSv1.2' });

  const send = async (
    request: ServiceRequest,
    identity: ServiceIdentity | undefined,
    cut: AbortController,
  ): Promise<ServiceAnswer> => {
    const slow = new AppError('service_timeout', { detail: 'no connection in time' });
    const timer = setTimeout(() => cut.abort(slow), limits.connectMs);
    try {
      const addresses = await orAborted(findAddresses(request.url, rules, lookup), cut.signal);
      const context = identity?.context ?? plainContext;
      const connection = await connectTo(
        request.url,
        { addresses, context, hasIdentity: identity !== undefined },
        cut.signal,
      );
      clearTimeout(timer);
      return await exchange(connection, request, limits, cut);
    } finally {
      clearTimeout(timer);
    }
  };

  return async ({ request, identity, followsRedirects }, cut) => {
    const { origin } = request.url;
    let current = request;
    let isOwn = true;
    for (let redirects = 0; ; redirects++) {
      // SECURITY: a redirect must not have us prove who we are to someone else, nor to the first on a way back from there.
      isOwn &&= current.url.origin === origin;
      const answer = await send(current, isOwn ? identity : undefined, cut);
      const next = followsRedirects ? toNextRequest(current, answer) : undefined;
      if (next === undefined) return answer;
      answer.body.on('error', () => undefined).destroy();
      if (redirects === MAX_REDIRECTS) {
        throw new AppError('service_failed', { values: { detail: `it redirects more than ${MAX_REDIRECTS} times` } });
      }
      current = next;
    }
  };
}

/** What a promise gives, unless the signal is aborted first. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as AppError);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
