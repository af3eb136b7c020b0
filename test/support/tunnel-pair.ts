import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Duplex } from 'node:stream';

import type { ResetCode } from '../../src/tunnel/codes.ts';
import { createConnection } from '../../src/tunnel/connection.ts';
import type {
  ConnectionHandlers,
  Fields,
  Hello,
  RequestHead,
  ResponseHead,
  TunnelConnection,
  TunnelStream,
} from '../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../src/tunnel/receive-window.ts';

const HOST = '127.0.0.1';

export const toHello = (id: string, changes: Partial<Hello> = {}): Hello => ({
  id,
  instance: 'i-1',
  worker: 1,
  version: '0.0.0',
  hostname: 'test',
  ...changes,
});

/** Both ends of a TCP connection over loopback. */
export async function createSocketPair(): Promise<readonly [Duplex, Duplex]> {
  const server = createServer({ allowHalfOpen: false });
  server.listen(0, HOST);
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Duplex]>;
  const dialled = connect((server.address() as AddressInfo).port, HOST).setNoDelay(true);
  await once(dialled, 'connect');
  const [taken] = await accepted;
  server.close();
  return [taken, dialled];
}

/** An answer as it came through a tunnel. */
export interface TunnelAnswer {
  readonly informational: readonly ResponseHead[];
  readonly head: ResponseHead | undefined;
  readonly body: Buffer;
  readonly trailers: Fields;
  /** Whether it came to its end. */
  readonly isWhole: boolean;
  readonly reset: ResetCode | undefined;
}

/** A request on its way, seen from the gateway. */
export interface TunnelCall {
  readonly stream: TunnelStream;
  /** Settles when the answer is over, one way or the other. */
  readonly answer: Promise<TunnelAnswer>;
  /** Settles with the first final head. */
  readonly head: Promise<ResponseHead>;
  /** Told of every part of the body, before it is consumed. */
  onPart: ((chunk: Buffer) => void) | undefined;
  onDrain: (() => void) | undefined;
  onInformation: ((head: ResponseHead) => void) | undefined;
}

/** Sends a request as a gateway does. `isKept` collects the body. */
export function openCall(
  gateway: TunnelConnection,
  head: RequestHead,
  isLast: boolean,
  { isKept = true, isConsumed = true } = {},
): TunnelCall {
  const informational: ResponseHead[] = [];
  const parts: Buffer[] = [];
  let final: ResponseHead | undefined;
  let resolveHead: (head: ResponseHead) => void = () => undefined;
  let resolveAnswer: (answer: TunnelAnswer) => void = () => undefined;
  const settle = (isWhole: boolean, trailers: Fields, reset?: ResetCode): void =>
    resolveAnswer({ informational, head: final, body: Buffer.concat(parts), trailers, isWhole, reset });
  const call: { -readonly [Key in keyof TunnelCall]: TunnelCall[Key] } = {
    stream: undefined as unknown as TunnelStream,
    answer: new Promise((resolve) => {
      resolveAnswer = resolve;
    }),
    head: new Promise((resolve) => {
      resolveHead = resolve;
    }),
    onPart: undefined,
    onDrain: undefined,
    onInformation: undefined,
  };
  const stream = gateway.open(
    head,
    {
      onResponse: (response) => {
        if (response.status < 200 && response.status !== 101) {
          informational.push(response);
          call.onInformation?.(response);
        } else {
          final = response;
          resolveHead(response);
        }
      },
      onData: (chunk) => {
        if (isKept) parts.push(chunk);
        call.onPart?.(chunk);
        if (isConsumed) call.stream.consumed(chunk.length);
      },
      onEnd: (trailers) => settle(true, trailers),
      onReset: (code) => settle(false, [], code),
      onDrain: () => call.onDrain?.(),
    },
    isLast,
  );
  if (stream === undefined) throw new Error('the stream was not opened');
  call.stream = stream;
  return call;
}

/** A gateway and an agent that have said HELLO, over one TCP connection. */
export async function createTunnelPair(
  onStream: ConnectionHandlers['onStream'],
): Promise<{ readonly gateway: TunnelConnection; readonly agent: TunnelConnection }> {
  const [gatewaySocket, agentSocket] = await createSocketPair();
  const nothing = (): undefined => undefined;
  return new Promise((resolve) => {
    const gateway = createConnection({
      role: 'gateway',
      socket: gatewaySocket,
      budget: createBufferBudget(),
      handlers: { onHello: () => gateway.welcome(toHello('gw')), onStream: nothing, onClose: nothing },
    });
    const agent = createConnection({
      role: 'agent',
      socket: agentSocket,
      budget: createBufferBudget(),
      handlers: { onHello: () => resolve({ gateway, agent }), onStream, onClose: nothing },
    });
    agent.welcome(toHello('cn-1'));
  });
}
