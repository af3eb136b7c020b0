import type { TLSSocket } from 'node:tls';

import { createConnection } from '../../tunnel/connection.ts';
import { MAX_STREAMS } from '../../tunnel/limits.ts';
import type { Closed, Hello, TunnelConnection } from '../../tunnel/messages.ts';
import type { BufferBudget } from '../../tunnel/receive-window.ts';
import type { NodeTarget } from './dial-node.ts';

/** How long dialling another node may take, HELLO included, in milliseconds. */
export const DIAL_TIMEOUT_MS = 5_000;
/** How long after a failure a node is not dialled again, in milliseconds; twice as long after each further one. */
export const REDIAL_AFTER_MS = 250;
/** The longest pause between two attempts to reach a node, in milliseconds. */
export const REDIAL_CAP_MS = 10_000;
/** Connections to one node, at most. A further one is dialled where half of the streams are taken on each that is there. */
export const CONNECTIONS_PER_NODE = 4;
/** How long requests may go on after a connection to a node is given up, in milliseconds. */
export const LEAVE_GRACE_MS = 600_000;

export interface NodeLinkDeps {
  readonly target: NodeTarget;
  /** @throws Error where the node is not reached */
  readonly dial: (target: NodeTarget, signal: AbortSignal) => Promise<TLSSocket>;
  readonly hello: Hello;
  readonly budget: BufferBudget;
  readonly onProblem: (detail: string) => void;
  readonly monotonicMs: () => number;
}

/** What leads to one other node: connections that are dialled where they are needed, and then kept. */
export interface NodeLink {
  readonly target: NodeTarget;
  /** When something was opened on it last, in milliseconds of time that nobody can set. */
  readonly usedAtMs: number;
  /** Streams on all its connections. */
  readonly streamCount: number;
  readonly isOpen: boolean;
  /** The connection that has most room. @returns undefined where none is open */
  take(): TunnelConnection | undefined;
  /** Resolves when there is a connection, or where there will be none for now. Never throws. */
  connect(): Promise<void>;
  /** Gives the connections up once what is open on them is finished. */
  leave(): void;
  close(): void;
}

export function createNodeLink(deps: NodeLinkDeps): NodeLink {
  const { target, dial, hello, budget, onProblem, monotonicMs } = deps;
  const connections = new Set<TunnelConnection>();
  let dialling: Promise<void> | undefined;
  let abort = new AbortController();
  let failures = 0;
  let notBeforeMs = -Infinity;
  let usedAtMs = monotonicMs();
  let isOver = false;

  const onFailure = (detail: string): void => {
    if (isOver) return;
    if (failures === 0) onProblem(`the gateway ${target.nodeId} at ${target.address} is not reached: ${detail}`);
    notBeforeMs = monotonicMs() + Math.min(REDIAL_AFTER_MS * 2 ** failures, REDIAL_CAP_MS);
    failures++;
  };

  /** Speaks with the other node. @throws Error where it did not answer, or closed */
  const greet = async (socket: TLSSocket, signal: AbortSignal): Promise<void> => {
    let connection: TunnelConnection | undefined;
    const onAbort = (): void => connection?.close('timed_out', 'no HELLO came');
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', onAbort, { once: true });
        const onHello = (): void => {
          if (connection !== undefined) connections.add(connection);
          resolve();
        };
        const onDraining = ({ retryAfterMs = REDIAL_AFTER_MS }: Closed): void => {
          notBeforeMs = monotonicMs() + retryAfterMs;
        };
        const onClose = (closed: Closed): void => {
          if (connection !== undefined) connections.delete(connection);
          reject(new Error(`${closed.code}: ${closed.detail}`));
        };
        connection = createConnection({
          role: 'agent',
          socket,
          budget,
          // Only agents and nodes that dialled open streams here.
          handlers: { onHello, onDraining, onStream: refuse, onClose },
        });
        connection.welcome(hello);
      });
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };
  const reach = async (): Promise<void> => {
    abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new Error('it took too long')), DIAL_TIMEOUT_MS);
    try {
      await greet(await dial(target, abort.signal), abort.signal);
      failures = 0;
      notBeforeMs = -Infinity;
    } catch (error) {
      onFailure(error instanceof Error ? error.message : 'unknown');
    } finally {
      clearTimeout(timer);
      dialling = undefined;
    }
  };
  const findRoomiest = (): TunnelConnection | undefined => {
    let best: TunnelConnection | undefined;
    for (const one of connections) {
      if (one.isOpen && (best === undefined || one.streamCount < best.streamCount)) best = one;
    }
    return best;
  };
  const connect = async (): Promise<void> => {
    if (isOver || monotonicMs() < notBeforeMs) return;
    await (dialling ??= reach());
  };

  return {
    target,
    get usedAtMs() {
      return usedAtMs;
    },
    get streamCount() {
      let count = 0;
      for (const { streamCount } of connections) count += streamCount;
      return count;
    },
    get isOpen() {
      return findRoomiest() !== undefined;
    },
    take: () => {
      usedAtMs = monotonicMs();
      const best = findRoomiest();
      const isCrowded = best !== undefined && best.streamCount >= MAX_STREAMS / 2;
      if (isCrowded && connections.size < CONNECTIONS_PER_NODE) void connect();
      return best;
    },
    connect,
    leave: () => {
      isOver = true;
      abort.abort(new Error('the node is gone'));
      for (const connection of connections) connection.drain(LEAVE_GRACE_MS);
    },
    close: () => {
      isOver = true;
      abort.abort(new Error('this gateway stops'));
      for (const connection of connections) connection.close('drain', 'this gateway stops');
    },
  };
}

const refuse = (stream: { reset(code: 'refused'): void }): undefined => stream.reset('refused') as undefined;
