import { randomInt } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';

import type { Clock } from '../core/clock.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Logger } from '../http/access-log.ts';
import { createConnection } from '../tunnel/connection.ts';
import { PROTOCOL } from '../tunnel/limits.ts';
import type { CloseCode } from '../tunnel/codes.ts';
import type { Hello, RequestHead, StreamHandlers, TunnelConnection, TunnelStream } from '../tunnel/messages.ts';
import type { BufferBudget } from '../tunnel/receive-window.ts';
import { parseTable, TableError } from '../tunnel/table.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import { limitPendingHandshakes } from './pending-handshakes.ts';
import { type PeerIdentity, readPeerIdentity } from './peer-identity.ts';
import { Agent, type Roster } from './roster.ts';

/** Connections of agents and other gateways at one time; further ones are closed at once. */
export const MAX_AGENT_CONNECTIONS = 10_000;
/** Until a handshake is done, in milliseconds. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long requests in flight may take to finish once the gateway stops, in milliseconds. */
export const DRAIN_GRACE_MS = 15_000;
/** How long requests may finish on a connection in whose place the same agent has another one, in milliseconds. */
export const REPLACED_GRACE_MS = 60_000;
/** Over how long agents are spread that have to come back, in milliseconds. */
export const RETURN_SPREAD_MS = 5_000;
/** How often open connections are held against their certificates' ends, in milliseconds. */
export const CHECK_AGENTS_EVERY_MS = 30_000;

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

/** The agent port. */
export interface AgentPort {
  readonly port: number;
  /** Gives new connections another certificate of this node. */
  setIdentity(identity: AcceptDeps['identity']): void;
  /** Takes no more agents, sends those that are here elsewhere, and resolves when the last has gone. */
  close(): Promise<void>;
}

/** Listens for agents and for other gateways, both of them with two-way TLS. */
export async function acceptAgents(deps: AcceptDeps): Promise<AgentPort> {
  const { directory, roster, logger, clock } = deps;
  const connections = new Set<TunnelConnection>();
  let isClosing = false;
  const server: Server = createServer({
    ...deps.identity,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [PROTOCOL],
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.maxConnections = MAX_AGENT_CONNECTIONS;
  limitPendingHandshakes(server);
  server.on('tlsClientError', (error, socket) => {
    // Whoever leaves by himself, as an agent does that reached the same node twice, is no event.
    const reason = (error as NodeJS.ErrnoException).code;
    logger[reason === 'ECONNRESET' ? 'debug' : 'info']({ ip: socket.remoteAddress, reason }, 'agent handshake failed');
    socket.destroy();
  });
  server.on('secureConnection', (socket) => {
    // Its handshake had begun before: nobody would send it elsewhere any more.
    if (isClosing) {
      socket.destroy();
      return;
    }
    const identity = readPeerIdentity(socket);
    if (identity === undefined || socket.alpnProtocol !== PROTOCOL) {
      logger.info({ ip: socket.remoteAddress, reason: 'no certificate or protocol of ours' }, 'agent refused');
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection =
      identity.kind === 'connector' ? acceptAgent(deps, socket, identity) : acceptNode(deps, socket, identity);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });

  const closeUnauthorized = (): void => {
    for (const agent of roster.all()) {
      if (!isStillAuthorized(directory, agent)) agent.connection.close('unauthorized', 'the certificate was revoked');
      else if (agent.expiresAt <= clock.nowSeconds()) {
        agent.connection.close('unauthorized', 'the certificate has expired');
      }
    }
  };
  const unwatch = directory.onChange(closeUnauthorized);
  const timer = setInterval(closeUnauthorized, CHECK_AGENTS_EVERY_MS);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host: deps.host, port: deps.port }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    setIdentity: (identity) => server.setSecureContext({ ...identity, minVersion: 'TLSv1.2' }),
    close: async () => {
      isClosing = true;
      unwatch();
      clearInterval(timer);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // One moment for all would bring all of them back in one moment, too.
      for (const connection of connections) connection.drain(DRAIN_GRACE_MS, randomInt(RETURN_SPREAD_MS));
      await closed;
    },
  };
}

/** A store that is away, and a copy that is old, cut nobody off who was let in. */
function isStillAuthorized(directory: ConnectorDirectory, { connectorId, serial }: Agent): boolean {
  try {
    return directory.isAuthorized(connectorId, serial);
  } catch {
    return true;
  }
}

function acceptAgent(deps: AcceptDeps, socket: TLSSocket, identity: PeerIdentity): TunnelConnection {
  const { directory, roster, logger, clock } = deps;
  const about = { connectorId: identity.id, serial: identity.serial, ip: socket.remoteAddress };
  let agent: Agent | undefined;

  const judge = async (hello: Hello): Promise<void> => {
    try {
      if (hello.id !== identity.id)
        throw new AppError('credential_invalid', { detail: 'HELLO names another connector' });
      await directory.authorize(identity.id, identity.serial);
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
    roster.add(agent)?.connection.drain(REPLACED_GRACE_MS);
    logger.info(
      { ...about, instance: agent.label, hostname: hello.hostname, version: hello.version },
      'agent connected',
    );
  };

  const connection: TunnelConnection = createConnection({
    role: 'gateway',
    socket,
    budget: deps.budget,
    ...(deps.pingEveryMs !== undefined && { pingEveryMs: deps.pingEveryMs }),
    handlers: {
      onHello: (hello) => void judge(hello),
      onTable: (json) => {
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
        logger.info({ ...about, instance: agent.label, reason: code, detail }, 'agent disconnected');
      },
    },
  });
  return connection;
}

function toCloseCode(code: AppError['code']): CloseCode {
  return code === 'store_unavailable' || code === 'internal' ? 'unavailable' : 'unauthorized';
}

function acceptNode(deps: AcceptDeps, socket: TLSSocket, { id }: PeerIdentity): TunnelConnection {
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
