import type { Duplex } from 'node:stream';

import { type ConnectionOptions, createConnection } from '../../../src/tunnel/connection.ts';
import type {
  Closed,
  ConnectionHandlers,
  RequestHead,
  ResponseHead,
  StreamHandlers,
  TunnelConnection,
  TunnelStream,
} from '../../../src/tunnel/messages.ts';
import { type BufferBudget, createBufferBudget } from '../../../src/tunnel/receive-window.ts';
import { createSocketPair, toHello } from '../../support/tunnel-pair.ts';

/** Numbers of the wire format as its page tells them: nothing of `src/` is used. */
export const TYPE = {
  hello: 0,
  request: 1,
  response: 2,
  data: 3,
  trailers: 4,
  window: 5,
  reset: 6,
  ping: 7,
  pong: 8,
  goaway: 9,
  table: 10,
} as const;
export const END = 1;
const HEADER_BYTES = 9;
const DEADLINE_MS = 20_000;

export const REQUEST: RequestHead = {
  to: { host: 'crm.virtual', port: 8080 },
  method: 'GET',
  target: '/api/orders?open=1',
  fields: ['Accept', '*/*'],
};
export const RESPONSE: ResponseHead = { status: 200, reason: 'OK', fields: ['X-A', '1'] };
export const HELLO_JSON = JSON.stringify(toHello('peer'));

/** A frame, byte by byte. `length` is what its header says, if it is to lie. */
export function toBytes(type: number, flags: number, id: number, payload: string | Buffer = '', length = -1): Buffer {
  const body = Buffer.from(payload as string);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUIntBE(length < 0 ? body.length : length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, body]);
}

export const toJsonBytes = (type: number, flags: number, id: number, value: unknown): Buffer =>
  toBytes(type, flags, id, JSON.stringify(value));

export function toNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Waits, turn by turn of the event loop, until something is so. */
export async function until(isSo: () => boolean, what = 'what was waited for', withinMs = DEADLINE_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What was heard of one stream, in order: `response 200`, `data 5`, `end`, `reset limit`, `drain`. */
export class Heard implements StreamHandlers {
  readonly calls: string[] = [];
  bytes = 0;
  stream: TunnelStream | undefined;
  /** Consumes at once what comes. */
  isReading: boolean;
  readonly #also: Partial<StreamHandlers>;

  constructor(also: Partial<StreamHandlers> = {}, isReading = true) {
    this.#also = also;
    this.isReading = isReading;
  }

  get isOver(): boolean {
    return this.calls.some((call) => call === 'end' || call.startsWith('reset'));
  }

  onResponse(head: ResponseHead): void {
    this.calls.push(`response ${head.status}`);
    this.#also.onResponse?.(head);
  }

  onData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.calls.at(-1) !== 'data') this.calls.push('data');
    if (this.isReading) this.stream?.consumed(chunk.length);
    this.#also.onData?.(chunk);
  }

  onEnd(trailers: readonly string[]): void {
    this.calls.push('end');
    this.#also.onEnd?.(trailers);
  }

  onReset(code: Parameters<StreamHandlers['onReset']>[0]): void {
    this.calls.push(`reset ${code}`);
    this.#also.onReset?.(code);
  }

  onDrain(): void {
    this.calls.push('drain');
    this.#also.onDrain?.();
  }
}

/** Opens a stream and hears what comes of it. */
export function openHeard(connection: TunnelConnection, isLast = true, heard = new Heard(), head = REQUEST) {
  const stream = connection.open(head, heard, isLast);
  if (stream === undefined) throw new Error('the stream was not opened');
  heard.stream = stream;
  return { stream, heard };
}

/** One end of a tunnel with what it told its owner. */
export interface End {
  readonly connection: TunnelConnection;
  readonly socket: Duplex;
  readonly budget: BufferBudget;
  readonly closes: Closed[];
  readonly drainings: Closed[];
  readonly tables: string[];
  /** Streams of the other end's. */
  readonly taken: { readonly stream: TunnelStream; readonly head: RequestHead; readonly heard: Heard }[];
}

export interface EndOptions extends Partial<Omit<ConnectionOptions, 'handlers'>> {
  readonly handlers?: Partial<ConnectionHandlers>;
  /** Whether HELLO is answered. */
  readonly isWelcoming?: boolean;
  /** Whether the bodies of streams that are opened to it are consumed. */
  readonly isReading?: boolean;
}

/** An end over a socket. Streams that are opened to it are heard, as long as `handlers.onStream` does not take them. */
export function createEnd(role: ConnectionOptions['role'], socket: Duplex, options: EndOptions = {}): End {
  const { handlers, isWelcoming = true, isReading = true, budget = createBufferBudget(), ...rest } = options;
  const [closes, drainings, tables, taken]: [Closed[], Closed[], string[], End['taken']] = [[], [], [], []];
  const connection = createConnection({
    ...rest,
    role,
    socket,
    budget,
    handlers: {
      onHello: (hello) => {
        if (isWelcoming) connection.welcome(toHello(role));
        handlers?.onHello?.(hello);
      },
      onStream: (stream, head, isLast) => {
        if (handlers?.onStream !== undefined) return handlers.onStream(stream, head, isLast);
        const heard = new Heard({}, isReading);
        heard.stream = stream;
        taken.push({ stream, head, heard });
        return heard;
      },
      onTable: (json) => {
        tables.push(json);
        handlers?.onTable?.(json);
      },
      onDraining: (closed) => {
        drainings.push(closed);
        handlers?.onDraining?.(closed);
      },
      onClose: (closed) => {
        closes.push(closed);
        handlers?.onClose?.(closed);
      },
    },
  });
  return { connection, socket, budget, closes, drainings, tables, taken };
}

export interface Pair {
  readonly gateway: End;
  readonly agent: End;
  /** Closes both and waits for it. */
  stop(): Promise<void>;
}

/** Two ends that have said HELLO, over loopback. */
export async function createPair(
  options: {
    readonly gateway?: EndOptions;
    readonly agent?: EndOptions;
    readonly sockets?: readonly [Duplex, Duplex];
  } = {},
): Promise<Pair> {
  const [gatewaySocket, agentSocket] = options.sockets ?? (await createSocketPair());
  const gateway = createEnd('gateway', gatewaySocket, options.gateway);
  const agent = createEnd('agent', agentSocket, { isWelcoming: false, ...options.agent });
  agent.connection.welcome(toHello('agent'));
  await until(() => gateway.connection.isOpen && agent.connection.isOpen, 'HELLO');
  return {
    gateway,
    agent,
    stop: async () => {
      gateway.connection.close('drain', 'the test is over');
      agent.connection.close('drain', 'the test is over');
      gatewaySocket.destroy();
      agentSocket.destroy();
      await until(() => gatewaySocket.closed && agentSocket.closed, 'the end of both sockets');
    },
  };
}

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Cuts bytes into frames. @returns them, and what is left */
function readFrames(bytes: Buffer): readonly [RawFrame[], Buffer] {
  const frames: RawFrame[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES && bytes.length - at - HEADER_BYTES >= bytes.readUIntBE(at, 3)) {
    const end = at + HEADER_BYTES + bytes.readUIntBE(at, 3);
    const [type, flags, id] = [bytes.readUInt8(at + 3), bytes.readUInt8(at + 4), bytes.readUInt32BE(at + 5)];
    frames.push({ type, flags, id, payload: bytes.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return [frames, bytes.subarray(at)];
}

/** A peer that speaks bytes, and an end that it speaks to. */
export interface RawPair {
  readonly end: End;
  readonly socket: Duplex;
  /** What the end sent. */
  readonly frames: RawFrame[];
  send(...bytes: readonly Buffer[]): void;
  /** Waits for a frame of a type. */
  frame(type: number, id?: number): Promise<RawFrame>;
  /** What the end said when it closed. */
  goaway(): Promise<{ readonly code: number; readonly lastStream: number; readonly detail: string }>;
  /** Waits until the end has taken whatever was sent before. */
  settle(): Promise<void>;
  stop(): void;
}

/** The end is a gateway, as long as nothing else is said: its streams are odd, the peer's even. */
export async function createRawPair(
  options: EndOptions & { readonly isGreeting?: boolean; readonly sockets?: readonly [Duplex, Duplex] } = {},
): Promise<RawPair> {
  const { role = 'gateway', isGreeting = true, sockets, ...rest } = options;
  const [ours, theirs] = sockets ?? (await createSocketPair());
  const frames: RawFrame[] = [];
  let left: Buffer = Buffer.alloc(0);
  theirs.on('data', (chunk: Buffer) => {
    const [more, rest] = readFrames(Buffer.concat([left, chunk]));
    left = rest;
    frames.push(...more);
  });
  theirs.on('error', () => undefined);
  const end = createEnd(role, ours, rest);
  const find = (type: number, id?: number): RawFrame | undefined =>
    frames.find((one) => one.type === type && (id === undefined || one.id === id));
  let pings = 0;
  const pair: RawPair = {
    end,
    socket: theirs,
    frames,
    send: (...bytes) => void theirs.write(Buffer.concat(bytes)),
    frame: async (type, id) => {
      await until(() => find(type, id) !== undefined, `a frame of type ${type}`);
      return find(type, id) as RawFrame;
    },
    goaway: async () => JSON.parse((await pair.frame(TYPE.goaway)).payload.toString()) as never,
    settle: async () => {
      const mark = Buffer.alloc(8);
      mark.writeUInt32BE(++pings);
      pair.send(toBytes(TYPE.ping, 0, 0, mark));
      const isAnswered = (): boolean => frames.some(({ type, payload }) => type === TYPE.pong && payload.equals(mark));
      await until(() => isAnswered() || end.closes.length > 0, 'PONG');
    },
    stop: () => {
      end.connection.close('drain', 'the test is over');
      ours.destroy();
      theirs.destroy();
    },
  };
  if (isGreeting) {
    pair.send(toBytes(TYPE.hello, 0, 0, HELLO_JSON));
    if (rest.isWelcoming !== false) await pair.frame(TYPE.hello);
  }
  return pair;
}
