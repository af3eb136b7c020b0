import { randomInt } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';

import { PROTOCOL } from '../tunnel/limits.ts';
import type { TunnelConnection } from '../tunnel/messages.ts';
import { type AcceptDeps, admitAgent, admitNode, RETURN_SPREAD_MS } from './admit-peers.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import { readPeerIdentity } from './peer-identity.ts';
import { limitPendingHandshakes } from './pending-handshakes.ts';
import type { Agent } from './roster.ts';

/** Connections of agents and other gateways at one time; further ones are closed at once. */
export const MAX_AGENT_CONNECTIONS = 10_000;
/** Until a handshake is done, in milliseconds. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long requests in flight may take to finish once the gateway stops, in milliseconds. */
export const DRAIN_GRACE_MS = 15_000;
/** How often open connections are held against their certificates' ends, in milliseconds. */
export const CHECK_AGENTS_EVERY_MS = 30_000;

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
  const { directory, logger, clock } = deps;
  const connections = new Set<TunnelConnection>();
  /** Until their connections are over: those that are leaving, or whose place was taken, are not in the roster any more. */
  const live = new Set<Agent>();
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
      identity.kind === 'connector' ? admitAgent(deps, live, socket, identity) : admitNode(deps, socket, identity);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });

  const closeUnauthorized = (): void => {
    for (const agent of live) {
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
