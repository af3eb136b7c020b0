import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';

import type { NodeIdentity } from '../../../../src/gateway/nodes/dial-node.ts';
import { createConnection } from '../../../../src/tunnel/connection.ts';
import { PROTOCOL } from '../../../../src/tunnel/limits.ts';
import type { Hello, RequestHead, TunnelConnection, TunnelStream } from '../../../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../../../src/tunnel/receive-window.ts';

/** The other end of a link: a TLS server that answers every request with what it was sent. */
export interface FakeNode {
  readonly nodeId: string;
  readonly address: string;
  /** Connections that were accepted. */
  readonly sockets: readonly TLSSocket[];
  readonly connections: readonly TunnelConnection[];
  /** The names in the certificates of those who dialled. */
  readonly peers: readonly string[];
  readonly heads: readonly RequestHead[];
  /** Requests that were not answered yet: only those to `/hold`. */
  readonly held: readonly TunnelStream[];
  stop(): Promise<void>;
}

/** What a test says of it. */
export interface FakeNodeTraits {
  readonly tls?: TlsOptions;
  /** Takes connections and says nothing. */
  readonly isSilent?: boolean;
  /** A free one where it is left out. */
  readonly port?: number;
}

export const toHello = (nodeId: string): Hello => ({
  id: nodeId,
  instance: nodeId,
  worker: 0,
  version: '1.0.0',
  hostname: 'host',
  node: nodeId,
});

export async function startFakeNode(
  nodeId: string,
  identity: NodeIdentity,
  { tls = {}, isSilent = false, port = 0 }: FakeNodeTraits = {},
): Promise<FakeNode> {
  const sockets: TLSSocket[] = [];
  const connections: TunnelConnection[] = [];
  const peers: string[] = [];
  const heads: RequestHead[] = [];
  const held: TunnelStream[] = [];
  const budget = createBufferBudget();
  const server = createServer({ ...identity, requestCert: true, ALPNProtocols: [PROTOCOL], ...tls });
  server.on('secureConnection', (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    peers.push(socket.getPeerCertificate().subjectaltname ?? '');
    if (isSilent) {
      socket.resume();
      return;
    }
    const connection = createConnection({
      role: 'gateway',
      socket,
      budget,
      handlers: {
        onHello: () => connection.welcome(toHello(nodeId)),
        onStream: (stream, head, isLast) => {
          heads.push(head);
          if (head.target === '/hold') {
            held.push(stream);
            return { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined };
          }
          stream.respond({ status: 200, reason: 'OK', fields: [] }, isLast);
          return {
            onData: (chunk) => {
              stream.write(chunk);
              stream.consumed(chunk.length);
            },
            onEnd: (trailers) => stream.end(trailers),
            onReset: () => undefined,
          };
        },
        onClose: () => undefined,
      },
    });
    connections.push(connection);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    nodeId,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    connections,
    peers,
    heads,
    held,
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
