import type { Closed, Hello, StreamHandlers, TunnelConnection, TunnelStream, RequestHead } from '../tunnel/messages.ts';
import type { Dialled } from './dial.ts';

/** Why an agent turns to another connection: the old one is over, its gateway leaves, or what it was made with is no longer right. */
export type Leaving = 'closed' | 'draining' | 'renewed';

/** A gateway that ended a connection before it was one. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly closed: Closed;

  constructor(closed: Closed) {
    super(closed.detail);
    this.closed = closed;
  }
}

/** A connection to a gateway node. */
export interface Link {
  readonly url: string;
  readonly node: string;
  readonly connection: TunnelConnection;
  readonly connectedAtMs: number;
  /** Settles once, when another connection should take this one's place. */
  readonly leaving: Promise<Leaving>;
  /** Settles when it is over. */
  readonly closed: Promise<Closed>;
  /** Has `leaving` settle; the connection stays in use until it is drained. */
  renew(): void;
}

/** What makes a tunnel of a socket: `createConnection` of the tunnel, with what it needs from the process. */
export type Connect = (
  socket: Dialled['socket'],
  handlers: {
    onHello(hello: Hello): void;
    onStream(stream: TunnelStream, head: RequestHead, isLast: boolean): StreamHandlers | undefined;
    onDraining(closed: Closed): void;
    onClose(closed: Closed): void;
  },
) => TunnelConnection;

export interface LinkOptions {
  readonly url: string;
  readonly dialled: Dialled;
  readonly hello: Hello;
  readonly connect: Connect;
  /** Called for each request, with the node that sent it. */
  onStream(stream: TunnelStream, head: RequestHead, isLast: boolean, node: string): StreamHandlers | undefined;
}

interface Settled<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
}

function createSettled<Value>(): Settled<Value> {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Says HELLO and waits for the gateway's. The agent is connected only when that has come. @throws Refused */
export function openLink({ url, dialled, hello, connect, onStream }: LinkOptions): Promise<Link> {
  const leaving = createSettled<Leaving>();
  const closed = createSettled<Closed>();
  let node = dialled.node ?? '';
  return new Promise((resolve, reject) => {
    const connection = connect(dialled.socket, {
      onHello: (peer) => {
        node = dialled.node ?? peer.node ?? peer.id;
        resolve({
          url,
          node,
          connection,
          connectedAtMs: performance.now(),
          leaving: leaving.promise,
          closed: closed.promise,
          renew: () => leaving.resolve('renewed'),
        });
      },
      onStream: (stream, head, isLast) => onStream(stream, head, isLast, node),
      onDraining: () => leaving.resolve('draining'),
      onClose: (why) => {
        reject(new Refused(why));
        leaving.resolve('closed');
        closed.resolve(why);
      },
    });
    connection.welcome(hello);
  });
}
