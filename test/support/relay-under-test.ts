import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

import type { Mapping } from '../../src/connector/config/agent-config.ts';
import { createRelay, type Relay } from '../../src/connector/relay.ts';
import type { RequestRecord } from '../../src/connector/request-record.ts';
import type { RequestHead, TunnelConnection } from '../../src/tunnel/messages.ts';
import { createTunnelPair, openCall, type TunnelAnswer, type TunnelCall } from './tunnel-pair.ts';

const HOST = '127.0.0.1';

/** A mapping of `app.virtual:80` to a port of this machine. */
export const toMapping = (port: number, changes: Partial<Mapping> = {}): Mapping => ({
  name: 'App',
  virtualHost: 'app.virtual',
  virtualPort: 80,
  internalHost: HOST,
  internalPort: port,
  protocol: 'http',
  allowedPaths: '/*',
  upgrade: true,
  allowEncodedSlash: false,
  timeoutSeconds: 5,
  ...changes,
});

export const toHead = (changes: Partial<RequestHead> = {}): RequestHead => ({
  to: { host: 'app.virtual', port: 80 },
  method: 'GET',
  target: '/',
  fields: [],
  requestId: 'r-1',
  ...changes,
});

/** The relay behind a real tunnel. */
export interface RelayUnderTest {
  readonly relay: Relay;
  readonly gateway: TunnelConnection;
  readonly records: readonly RequestRecord[];
  /** The next record that comes. */
  nextRecord(): Promise<RequestRecord>;
  call(head: RequestHead, isLast?: boolean, options?: Parameters<typeof openCall>[3]): TunnelCall;
  ask(changes?: Partial<RequestHead>, body?: string | Buffer): Promise<TunnelAnswer>;
  stop(): void;
}

export async function startRelay(
  mappings: readonly Mapping[],
  canRecord: () => boolean = () => true,
): Promise<RelayUnderTest> {
  const records: RequestRecord[] = [];
  let waiting: ((record: RequestRecord) => void)[] = [];
  const relay = createRelay(mappings, {
    canRecord,
    record: (record) => {
      records.push(record);
      const told = waiting;
      waiting = [];
      for (const tell of told) tell(record);
    },
  });
  const { gateway, agent } = await createTunnelPair((stream, head, isLast) => relay.take(stream, head, isLast, 'gw'));
  const call: RelayUnderTest['call'] = (head, isLast = true, options = {}) => openCall(gateway, head, isLast, options);
  return {
    relay,
    gateway,
    records,
    nextRecord: () => new Promise((resolve) => waiting.push(resolve)),
    call,
    ask: (changes = {}, body) => {
      const open = call(toHead(changes), body === undefined);
      if (body !== undefined) {
        open.stream.write(Buffer.from(body));
        open.stream.end();
      }
      return open.answer;
    },
    stop: () => {
      gateway.close('drain', 'the test is over');
      agent.close('drain', 'the test is over');
      relay.close();
    },
  };
}

/** A TCP server whose every connection a test answers byte by byte. */
export interface RawBackend {
  readonly port: number;
  /** Everything that came, on all connections, as latin1. */
  received(): string;
  connections(): number;
  stop(): void;
}

/** @param onRequest called with each chunk that comes, and how many chunks came on that connection before */
export async function startRawBackend(
  onRequest: (socket: Socket, chunk: Buffer, before: number) => void,
): Promise<RawBackend> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((socket) => {
    let before = 0;
    count++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      onRequest(socket, chunk, before++);
    });
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received: () => Buffer.concat(chunks).toString('latin1'),
    connections: () => count,
    stop: () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}
