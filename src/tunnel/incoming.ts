import { RESET_CODES, toResetCode } from './codes.ts';
import { FLAG_END, FRAME, FrameError, type FrameSink, toFrame, toNumberFrame } from './frames.ts';
import { type Goaway, parseGoaway, parseHello, parseRequestHead, parseResponseHead, parseTrailers } from './heads.ts';
import { MAX_HEAD_BYTES, MAX_HELLO_BYTES, MAX_TABLE_BYTES, MAX_TABLE_FRAMES } from './limits.ts';
import type { ConnectionHandlers, Hello, StreamHandlers } from './messages.ts';
import { isPing } from './pulse.ts';
import { type BufferBudget, relieve } from './receive-window.ts';
import type { Streams } from './streams.ts';

/** What takes frames needs of its connection. */
export interface IncomingHost {
  readonly isOpen: boolean;
  readonly isClosed: boolean;
  readonly peer: Hello | undefined;
  readonly processBudget: BufferBudget;
  readonly nowMs: () => number;
  sendControl(frame: Buffer): void;
  takeHello(hello: Hello): void;
  takePong(): void;
  takeGoaway(goaway: Goaway): void;
}

/** Types of frames that are of the whole connection. */
const OF_CONNECTION: ReadonlySet<number> = new Set([FRAME.hello, FRAME.ping, FRAME.pong, FRAME.goaway, FRAME.table]);
/** How many times its own size a part of a body may keep in memory. */
const MAX_PINNED = 4;

/** Until the owner has said who takes the stream. */
const NOBODY: StreamHandlers = { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined };

/** Takes the frames of the other end to where they belong. @throws FrameError for what must not come */
export class Incoming implements FrameSink {
  readonly #host: IncomingHost;
  readonly #streams: Streams;
  readonly #handlers: ConnectionHandlers;
  #table: Buffer[] = [];
  #tableBytes = 0;

  constructor(host: IncomingHost, streams: Streams, handlers: ConnectionHandlers) {
    this.#host = host;
    this.#streams = streams;
    this.#handlers = handlers;
  }

  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (this.#host.isClosed) return;
    // Who is not let in is told so instead of HELLO.
    if (this.#host.peer === undefined && type !== FRAME.hello && type !== FRAME.goaway) {
      throw new FrameError('protocol', 'no HELLO came first');
    }
    if (streamId !== 0 && OF_CONNECTION.has(type))
      throw new FrameError('protocol', `type ${type} on stream ${streamId}`);
    const isEnd = (flags & FLAG_END) !== 0;
    switch (type) {
      case FRAME.hello:
        this.#takeHello(payload);
        break;
      case FRAME.request:
        this.#takeRequest(streamId, payload, isEnd);
        break;
      case FRAME.response:
        checkHeadSize(payload);
        this.#streams.find(streamId)?.takeResponse(parseResponseHead(payload), isEnd);
        break;
      case FRAME.trailers:
        checkHeadSize(payload);
        this.#streams.find(streamId)?.takeEnd(parseTrailers(payload));
        break;
      case FRAME.window:
        this.#streams.find(streamId)?.takeCredit(readNumber(payload));
        break;
      case FRAME.reset:
        this.#takeReset(streamId, payload);
        break;
      case FRAME.ping:
        checkPing(payload);
        this.#host.sendControl(toFrame(FRAME.pong, 0, 0, payload));
        break;
      case FRAME.pong:
        checkPing(payload);
        this.#host.takePong();
        break;
      case FRAME.goaway:
        this.#host.takeGoaway(parseGoaway(payload));
        break;
      case FRAME.table:
        this.#takeTable(payload, isEnd);
        break;
      // What a later version may send.
      default:
    }
  }

  onData(streamId: number, part: Buffer, isEnd: boolean): void {
    if (this.#host.isClosed) return;
    if (this.#host.peer === undefined) throw new FrameError('protocol', 'no HELLO came first');
    const stream = this.#streams.find(streamId);
    if (stream === undefined) return;
    stream.takeData(toOwn(part), isEnd);
    relieve(this.#host.processBudget);
  }

  #takeHello(payload: Buffer): void {
    if (this.#host.peer !== undefined) throw new FrameError('protocol', 'a second HELLO');
    if (payload.length > MAX_HELLO_BYTES) throw new FrameError('limit', 'a HELLO that is too large');
    this.#host.takeHello(parseHello(payload));
  }

  #takeRequest(streamId: number, payload: Buffer, isEnd: boolean): void {
    checkHeadSize(payload);
    const head = parseRequestHead(payload);
    const stream = this.#streams.addTheirs(streamId, isEnd, NOBODY);
    if (stream === undefined) {
      this.#host.sendControl(toNumberFrame(FRAME.reset, streamId, RESET_CODES.refused));
      return;
    }
    if (!this.#host.isOpen) {
      stream.reset('refused');
      return;
    }
    const handlers = this.#handlers.onStream(stream, head, isEnd);
    // SECURITY: what nobody reads must not be held, by however many streams.
    if (handlers === undefined) stream.ignoreRest();
    else stream.handlers = handlers;
  }

  #takeReset(streamId: number, payload: Buffer): void {
    const code = toResetCode(readNumber(payload));
    const stream = this.#streams.find(streamId);
    if (stream === undefined) return;
    if (!stream.isOurs && !stream.isAnswered) this.#streams.countCancel(this.#host.nowMs());
    stream.takeReset(code);
  }

  #takeTable(payload: Buffer, isEnd: boolean): void {
    this.#tableBytes += payload.length;
    if (this.#table.push(payload) > MAX_TABLE_FRAMES || this.#tableBytes > MAX_TABLE_BYTES) {
      throw new FrameError('limit', 'a table that is too large');
    }
    if (!isEnd) return;
    const json = Buffer.concat(this.#table).toString('utf8');
    this.#table = [];
    this.#tableBytes = 0;
    this.#handlers.onTable?.(json);
  }
}

/** SECURITY: a few bytes that somebody holds must not keep a whole read of the socket in memory. */
function toOwn(part: Buffer): Buffer {
  if (part.length * MAX_PINNED >= part.buffer.byteLength) return part;
  const own = Buffer.allocUnsafeSlow(part.length);
  part.copy(own);
  return own;
}

function checkHeadSize(payload: Buffer): void {
  if (payload.length > MAX_HEAD_BYTES) throw new FrameError('limit', 'a head that is too large');
}

function checkPing(payload: Buffer): void {
  if (!isPing(payload)) throw new FrameError('protocol', 'a PING of another size');
}

function readNumber(payload: Buffer): number {
  if (payload.length !== 4) throw new FrameError('protocol', 'a number of another size');
  return payload.readUInt32BE(0);
}
