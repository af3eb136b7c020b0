import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';

import type { AccessRule } from '../../src/tunnel/access.ts';
import { createConnection } from '../../src/tunnel/connection.ts';
import { PROTOCOL } from '../../src/tunnel/limits.ts';
import type { Closed, Hello, RequestHead, StreamHandlers, TunnelConnection } from '../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../src/tunnel/receive-window.ts';
import { parseTable } from '../../src/tunnel/table.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { toHello } from './tunnel-pair.ts';

/** An agent that has connected to a node. */
export interface AcceptedAgent {
  readonly hello: Hello;
  readonly connection: TunnelConnection;
  readonly socket: TLSSocket;
  readonly serial: string;
  table: readonly AccessRule[] | undefined;
  closed: Closed | undefined;
}

/** A gateway node that does what an agent sees of one: TLS both ways, HELLO, the table, streams. */
export interface GatewayNode {
  readonly port: number;
  readonly url: string;
  /** All that ever connected, in order. */
  readonly agents: readonly AcceptedAgent[];
  /** TCP connections that came, whether or not they said HELLO. */
  socketCount(): number;
  /** TLS connections that are open, whether or not they said HELLO. */
  openCount(): number;
  /** Those that are connected now. */
  live(): readonly AcceptedAgent[];
  stop(): Promise<void>;
}

export interface GatewayNodeOptions {
  /** In its certificate; HELLO alone says it where `isNamed` is false. */
  readonly node: string;
  readonly isNamed?: boolean;
  /** Instead of a welcome. */
  readonly judge?: (connection: TunnelConnection) => boolean;
  readonly onStream?: (head: RequestHead) => StreamHandlers | undefined;
  readonly port?: number;
}

export async function startGatewayNode(ca: CertificateAuthority, options: GatewayNodeOptions): Promise<GatewayNode> {
  const { node, isNamed = true, judge = () => true, port: wanted = 0 } = options;
  const uri = isNamed ? `,URI:urn:countersign:gateway:${node}` : '';
  const { key, cert } = await ca.issue({ commonName: node, names: `DNS:localhost,IP:127.0.0.1,IP:::1${uri}` });
  const agents: AcceptedAgent[] = [];
  const sockets = new Set<TLSSocket>();
  let count = 0;
  const server = createServer(
    { key, cert, ca: ca.cert, requestCert: true, rejectUnauthorized: true, ALPNProtocols: [PROTOCOL] },
    (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      let agent: AcceptedAgent | undefined;
      const connection: TunnelConnection = createConnection({
        role: 'gateway',
        socket,
        budget: createBufferBudget(),
        handlers: {
          onHello: (hello) => {
            if (!judge(connection)) return;
            agent = { hello, connection, socket, serial: socket.getPeerCertificate().serialNumber, table: undefined, closed: undefined }; // prettier-ignore
            agents.push(agent);
            connection.welcome(toHello('gateway', { node }));
          },
          onTable: (json) => {
            if (agent !== undefined) agent.table = parseTable(json);
          },
          onStream: (_stream, head) => options.onStream?.(head),
          onClose: (closed) => {
            if (agent !== undefined) agent.closed = closed;
          },
        },
      });
    },
  );
  // Also those whose handshake is not over: one that succeeds later would hold the server open.
  const connections = new Set<Socket>();
  server
    .on('tlsClientError', () => undefined)
    .on('connection', (socket: Socket) => {
      count++;
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
    });
  server.listen(wanted, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `https://localhost:${port}`,
    agents,
    socketCount: () => count,
    openCount: () => sockets.size,
    live: () => agents.filter(({ closed }) => closed === undefined),
    stop: async () => {
      server.close();
      [...sockets, ...connections].forEach((socket) => socket.destroy());
      await once(server, 'close');
    },
  };
}
