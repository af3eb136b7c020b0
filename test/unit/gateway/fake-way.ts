import type { AccessRule } from '../../../src/tunnel/access.ts';
import type { ResetCode } from '../../../src/tunnel/codes.ts';
import type { Fields, RequestHead, StreamHandlers, TunnelStream } from '../../../src/tunnel/messages.ts';
import { type ConnectorCaller, createConnectorCaller } from '../../../src/gateway/call-connector.ts';
import { createCallerShares } from '../../../src/gateway/caller-shares.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import type { Way } from '../../../src/gateway/way.ts';

/** A rule that admits everything below `/api/` of one virtual host. */
export const CRM: AccessRule = {
  host: 'crm.virtual',
  port: 8080,
  name: 'CRM',
  allowedPaths: ['/api/*'],
  upgrade: false,
  allowEncodedSlash: false,
};

/** A stream of a fake way: what was done to it, and its handlers to play the other end. */
export interface FakeStream extends TunnelStream {
  readonly head: RequestHead;
  readonly handlers: StreamHandlers;
  readonly written: string;
  readonly ended: Fields | undefined;
  readonly resetWith: ResetCode | undefined;
}

/** A way without a tunnel behind it. */
export interface FakeWay extends Way {
  readonly streams: readonly FakeStream[];
  inFlight: number;
  /** Whether it takes no more streams. */
  isLeaving: boolean;
}

export function createFakeWay(label: string, table: readonly AccessRule[] | undefined = [CRM]): FakeWay {
  const streams: FakeStream[] = [];
  return {
    label,
    table,
    streams,
    inFlight: 0,
    isLeaving: false,
    open(head, handlers) {
      if (this.isLeaving) return undefined;
      const stream = createFakeStream(head, handlers);
      streams.push(stream);
      return stream;
    },
  };
}

/** Service calls through one connector whose one agent is a fake way. */
export function startConnectorCaller(callsPerCaller = 10): ConnectorCaller & { readonly way: FakeWay } {
  const way = createFakeWay('a');
  const caller = createConnectorCaller({
    directory: {
      findConnector: (id) => ({ id, enabled: true }) as Connector,
      listEnabled: () => ['cn-1'],
      refreshOnMiss: async () => undefined,
    },
    roster: { findByConnector: () => [Object.assign(way, { connectorId: 'cn-1' })] as unknown as Agent[] },
    remote: { find: async () => [] },
    shares: createCallerShares(callsPerCaller),
  });
  return { ...caller, way };
}

function createFakeStream(head: RequestHead, handlers: StreamHandlers): FakeStream {
  const state = { written: '', ended: undefined as Fields | undefined, resetWith: undefined as ResetCode | undefined };
  return {
    id: 1,
    head,
    handlers,
    queuedBytes: 0,
    get isClosed() {
      return state.resetWith !== undefined;
    },
    get written() {
      return state.written;
    },
    get ended() {
      return state.ended;
    },
    get resetWith() {
      return state.resetWith;
    },
    respond: () => undefined,
    write: (chunk) => {
      state.written += chunk.toString();
      return true;
    },
    end: (trailers = []) => void (state.ended = trailers),
    reset: (code) => void (state.resetWith = code),
    ignoreRest: () => undefined,
    consumed: () => undefined,
  };
}
