import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** A TCP proxy that can lose what the server answers, and turn to another server. */
export interface SwallowingProxy {
  readonly port: number;
  /** Lets that many bytes of answers through, on all connections together, and loses all that follow. Requests go on. */
  swallowAfter(bytes: number): void;
  /** Bytes of answers that were lost since the last `swallowAfter`. */
  swallowedBytes(): number;
  /** Holds back what clients send from now on. */
  holdRequests(): void;
  /** Bytes of requests that are held back. */
  heldBytes(): number;
  /** Whether some text is in what is held back. */
  holds(text: string): boolean;
  /** Cuts the clients off and lets new ones through; what was held back is still on its way. */
  cutClients(): void;
  /** Lets the server have what was held back, as a slow network would. */
  releaseRequests(): void;
  /** Cuts every connection: an answer with a hole is no answer. New connections lose nothing. */
  heal(): void;
  /** Cuts every connection; new ones go to another server. */
  turnTo(port: number): void;
  stop(): Promise<void>;
}

/** Starts a proxy on a free port, in front of the server on `targetPort`. */
export async function startSwallowingProxy(targetPort: number): Promise<SwallowingProxy> {
  const sockets = new Set<Socket>();
  let target = targetPort;
  let passBytes = Infinity;
  let lostBytes = 0;
  let isHolding = false;
  const clients = new Set<Socket>();
  const held: { readonly upstream: Socket; readonly chunk: Buffer }[] = [];

  const track = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.once('close', () => {
      sockets.delete(socket);
      clients.delete(socket);
      if (!held.some(({ upstream }) => upstream === other)) other.destroy();
    });
  };
  const cut = (): void => {
    sockets.forEach((socket) => socket.destroy());
    passBytes = Infinity;
  };

  const server = createServer((client) => {
    const upstream = connect({ host: HOST, port: target });
    track(client, upstream);
    track(upstream, client);
    clients.add(client);
    client.on('data', (chunk: Buffer) => {
      if (isHolding) held.push({ upstream, chunk });
      else upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      const passed = chunk.subarray(0, passBytes);
      passBytes -= passed.length;
      lostBytes += chunk.length - passed.length;
      if (passed.length > 0 && !client.destroyed) client.write(passed);
    });
  });
  server.listen(0, HOST);
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    swallowAfter: (bytes) => {
      passBytes = bytes;
      lostBytes = 0;
    },
    swallowedBytes: () => lostBytes,
    holdRequests: () => {
      isHolding = true;
    },
    heldBytes: () => held.reduce((sum, { chunk }) => sum + chunk.length, 0),
    holds: (text) => Buffer.concat(held.map(({ chunk }) => chunk)).includes(text),
    cutClients: () => {
      isHolding = false;
      clients.forEach((client) => client.destroy());
    },
    releaseRequests: () => held.splice(0).forEach(({ upstream, chunk }) => upstream.end(chunk)),
    heal: cut,
    turnTo: (port) => {
      target = port;
      cut();
    },
    stop: async () => {
      cut();
      await new Promise((done) => server.close(done));
    },
  };
}
