import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** A network that can lose everything without a word: no byte, no end, no reset comes through. */
export interface BlackHole {
  readonly port: number;
  /** Loses what is on the connections of now, for ever. */
  swallow(): void;
  stop(): Promise<void>;
}

/** Starts it in front of the server on `targetPort`. New connections come through. */
export async function startBlackHole(targetPort: number): Promise<BlackHole> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: HOST, port: targetPort, allowHalfOpen: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.pipe(to);
      from.on('error', () => undefined);
      from.once('close', () => {
        if (pairs.has(pair)) to.destroy();
      });
    }
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  const lost: Socket[] = [];
  return {
    port: (server.address() as AddressInfo).port,
    swallow: () => {
      for (const [client, upstream] of pairs) {
        client.unpipe();
        upstream.unpipe();
        client.resume();
        upstream.resume();
        lost.push(client, upstream);
      }
      pairs.clear();
    },
    stop: async () => {
      for (const socket of [...pairs, lost].flat()) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
