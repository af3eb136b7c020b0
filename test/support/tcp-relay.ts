import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** Which port a connection goes to, by the first thing that the client sends. */
export type Route = (firstLine: string) => number;

/** One address in front of several servers, as a load balancer is. */
export interface TcpRelay {
  readonly port: number;
  readonly url: string;
  /** New connections go another way; open ones stay where they are. */
  routeBy(route: Route): void;
  /** Cuts every connection. */
  cut(): void;
  stop(): Promise<void>;
}

/** Starts a relay on a free port, or on `port`. */
export async function startTcpRelay(port = 0): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  let route: Route = () => 0;

  const join = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', (chunk: Buffer) => {
      const [firstLine = ''] = chunk.toString('latin1').split('\r\n', 1);
      client.pause();
      client.unshift(chunk);
      const upstream = connect({ host: HOST, port: route(firstLine) });
      join(client, upstream);
      join(upstream, client);
    });
  });
  server.listen(port, HOST);
  await once(server, 'listening');
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  const at = (server.address() as AddressInfo).port;
  return {
    port: at,
    url: `http://${HOST}:${at}`,
    routeBy: (next) => {
      route = next;
    },
    cut,
    stop: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
