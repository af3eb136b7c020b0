import { randomInt } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '../core/clock.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Logger } from '../http/access-log.ts';
import type { CloseCode } from '../tunnel/codes.ts';
import { createConnection } from '../tunnel/connection.ts';
import type { Hello, RequestHead, StreamHandlers, TunnelConnection, TunnelStream } from '../tunnel/messages.ts';
import type { BufferBudget } from '../tunnel/receive-window.ts';
import { parseTable, TableError } from '../tunnel/table.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { Agent, type Roster } from './roster.ts';

/** How long requests may finish on a connection in whose place the same agent has another one, in milliseconds. */
export const REPLACED_GRACE_MS = 60_000;
/** Over how long agents are spread that have to come back, in milliseconds. */
export const RETURN_SPREAD_MS = 5_000;
/** Agents of one connector on one node, at most. */
export const MAX_AGENTS_PER_CONNECTOR = 2_048;
/** Tables that one agent may send within {@link TABLE_WINDOW_MS}: reading one costs time. */
export const MAX_TABLES = 20;
/** Over how long they are counted, in milliseconds. */
export const TABLE_WINDOW_MS = 10_000;

/** Takes a stream that the other end opened. */
export type StreamTaker<Peer> = (
  stream: TunnelStream,
  head: RequestHead,
  isLast: boolean,
  peer: Peer,
) => StreamHandlers | undefined;

export interface AcceptDeps {
  /** This node's own certificate, and the authority that signed those of its peers; PEM. */
  readonly identity: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly host: string;
  readonly port: number;
  /** What this node says of itself. */
  readonly hello: Hello;
  readonly directory: ConnectorDirectory;
  readonly roster: Roster;
  readonly budget: BufferBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What an agent asks of its gateway: renewal, webhooks. */
  readonly onService: StreamTaker<Agent>;
  /** What another node sends on. */
  readonly onNodeStream: StreamTaker<{ readonly node: string }>;
  /** For tests. */
  readonly pingEveryMs?: number;
}

/** Speaks with a connector's agent: it is in the roster from when it has been judged until it leaves, in `live` until it is gone. */
export function admitAgent(
  deps: AcceptDeps,
  live: Set<Agent>,
  socket: TLSSocket,
  identity: PeerIdentity,
): TunnelConnection {
  const { directory, roster, logger, clock } = deps;
  const about = { connectorId: identity.id, serial: identity.serial, ip: socket.remoteAddress };
  let agent: Agent | undefined;

  const judge = async (hello: Hello): Promise<void> => {
    try {
      if (hello.id !== identity.id)
        throw new AppError('credential_invalid', { detail: 'HELLO names another connector' });
      await directory.authorize(identity.id, identity.serial);
      // SECURITY: one certificate must not take the places of all others.
      const others = [...live].filter(({ connectorId }) => connectorId === identity.id);
      if (others.length >= MAX_AGENTS_PER_CONNECTOR) {
        connection.close('limit', 'too many agents of this connector', RETURN_SPREAD_MS);
        return;
      }
    } catch (error) {
      const { code, detail } = toAppError(error);
      logger.warn({ ...about, reason: code, detail }, 'agent refused');
      connection.close(toCloseCode(code), code, randomInt(RETURN_SPREAD_MS));
      return;
    }
    agent = new Agent({
      connectorId: identity.id,
      serial: identity.serial,
      expiresAt: identity.expiresAt,
      hello,
      connectedAt: clock.nowSeconds(),
      connection,
    });
    connection.welcome(deps.hello);
    // It may be gone by now.
    if (!connection.isOpen) return;
    // It has new credentials, or it is a ghost: what goes on may finish, a ghost's end comes by its silence.
    live.add(agent);
    roster.add(agent)?.connection.drain(REPLACED_GRACE_MS);
    logger.info(
      { ...about, instance: agent.label, hostname: hello.hostname, version: hello.version },
      'agent connected',
    );
  };

  const takeTable = createTableLimit();
  const connection: TunnelConnection = createConnection({
    role: 'gateway',
    socket,
    budget: deps.budget,
    ...(deps.pingEveryMs !== undefined && { pingEveryMs: deps.pingEveryMs }),
    handlers: {
      onHello: (hello) => void judge(hello),
      onTable: (json) => {
        if (!takeTable()) {
          connection.close('limit', 'too many tables');
          return;
        }
        try {
          if (agent !== undefined) roster.setTable(agent, parseTable(json));
        } catch (error) {
          if (!(error instanceof TableError)) throw error;
          connection.close('protocol', error.message);
        }
      },
      onStream: (stream, head, isLast) => agent && deps.onService(stream, head, isLast, agent),
      onDraining: () => {
        if (agent !== undefined) roster.remove(agent);
      },
      onClose: ({ code, detail }) => {
        if (agent === undefined) return;
        roster.remove(agent);
        live.delete(agent);
        logger.info({ ...about, instance: agent.label, reason: code, detail }, 'agent disconnected');
      },
    },
  });
  return connection;
}

function toCloseCode(code: AppError['code']): CloseCode {
  return code === 'store_unavailable' || code === 'internal' ? 'unavailable' : 'unauthorized';
}

/** Speaks with another gateway. */
export function admitNode(deps: AcceptDeps, socket: TLSSocket, { id }: PeerIdentity): TunnelConnection {
  const connection: TunnelConnection = createConnection({
    role: 'gateway',
    socket,
    budget: deps.budget,
    ...(deps.pingEveryMs !== undefined && { pingEveryMs: deps.pingEveryMs }),
    handlers: {
      onHello: (hello) => {
        if (hello.id === id) connection.welcome(deps.hello);
        else connection.close('unauthorized', 'HELLO names another node');
      },
      onStream: (stream, head, isLast) => deps.onNodeStream(stream, head, isLast, { node: id }),
      onClose: ({ code, detail }) => deps.logger.debug({ node: id, reason: code, detail }, 'node disconnected'),
    },
  });
  return connection;
}

/** @returns a function that tells whether there may be one more */
function createTableLimit(): () => boolean {
  let since = -Infinity;
  let count = 0;
  return () => {
    if (performance.now() - since > TABLE_WINDOW_MS) [since, count] = [performance.now(), 0];
    return ++count <= MAX_TABLES;
  };
}
