import type { Duplex } from 'node:stream';

import { CLOSE_CODES, type CloseCode, toCloseCode } from './codes.ts';
import { FLAG_END, FRAME, FrameError, FrameParser, toFrame } from './frames.ts';
import { type Goaway, toReason } from './heads.ts';
import { Incoming, type IncomingHost } from './incoming.ts';
import { CLOSE_GRACE_MS, HELLO_TIMEOUT_MS, MAX_FRAME_BYTES, MAX_HEAD_BYTES } from './limits.ts';
import type {
  Closed,
  ConnectionHandlers,
  Hello,
  RequestHead,
  StreamHandlers,
  TunnelConnection,
  TunnelStream,
} from './messages.ts';
import { Pulse } from './pulse.ts';
import { type BufferBudget, createBufferBudget } from './receive-window.ts';
import { Sender } from './sender.ts';
import type { Stream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';
import { Streams } from './streams.ts';

/** What a connection is made of. */
export interface ConnectionOptions {
  /** A gateway opens odd streams; an agent, and a gateway that dials another one, even ones. */
  readonly role: 'gateway' | 'agent';
  /** Connected, and the other end authenticated. It belongs to the connection from now on. */
  readonly socket: Duplex;
  readonly handlers: ConnectionHandlers;
  /** Of the process. */
  readonly budget: BufferBudget;
  readonly pingEveryMs?: number;
  readonly helloTimeoutMs?: number;
}

/** Speaks connector/1 over a socket. */
export function createConnection(options: ConnectionOptions): TunnelConnection {
  return new Connection(options);
}

class Connection implements TunnelConnection, IncomingHost, StreamHost<Stream> {
  readonly connectionBudget = createBufferBudget();
  readonly processBudget: BufferBudget;
  readonly nowMs = (): number => performance.now();
  peer: Hello | undefined;
  isClosed = false;
  readonly #socket: Duplex;
  readonly #handlers: ConnectionHandlers;
  readonly #sender: Sender;
  readonly #streams: Streams;
  readonly #pulse: Pulse;
  readonly #helloTimer: NodeJS.Timeout;
  #drainTimer: NodeJS.Timeout | undefined;
  #hasWelcomed = false;
  /** One of the ends wants no new streams. */
  #isDraining = false;
  /** It is this end. */
  #isLeaving = false;
  /** That the other end is leaving, once it said so. */
  #farewell: Closed | undefined;
  #socketError: Error | undefined;

  constructor({ role, socket, handlers, budget, pingEveryMs, helloTimeoutMs }: ConnectionOptions) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.processBudget = budget;
    this.#streams = new Streams(role === 'gateway', this);
    this.#sender = new Sender(socket, () => this.close('limit', 'the other end does not read'));
    this.#pulse = new Pulse(
      (frame) => this.sendControl(frame),
      () => this.close('timed_out', 'no sign of life'),
      pingEveryMs,
    );
    const parser = new FrameParser(new Incoming(this, this.#streams, handlers));
    socket.on('data', (chunk: Buffer) => this.#receive(parser, chunk));
    socket.on('error', (error) => (this.#socketError = error));
    // Nothing more can come, whatever is still to be written.
    for (const event of ['end', 'close']) socket.on(event, () => this.#finish(this.#farewell ?? this.#toLoss()));
    const onNoHello = (): void => this.close('timed_out', 'no HELLO came');
    this.#helloTimer = setTimeout(onNoHello, helloTimeoutMs ?? HELLO_TIMEOUT_MS);
  }

  get roundTripMs(): number | undefined {
    return this.#pulse.roundTripMs;
  }

  get streamCount(): number {
    return this.#streams.count;
  }

  get isOpen(): boolean {
    return this.peer !== undefined && this.#hasWelcomed && !this.#isDraining && !this.isClosed;
  }

  welcome(hello: Hello): void {
    if (this.isClosed || this.#hasWelcomed) return;
    this.#hasWelcomed = true;
    this.sendControl(toFrame(FRAME.hello, 0, 0, JSON.stringify(hello)));
    if (this.peer !== undefined) this.#pulse.start();
  }

  sendTable(json: string): void {
    const bytes = Buffer.from(json);
    for (let at = 0; at === 0 || at < bytes.length; at += MAX_FRAME_BYTES) {
      const isLast = at + MAX_FRAME_BYTES >= bytes.length;
      this.sendControl(toFrame(FRAME.table, isLast ? FLAG_END : 0, 0, bytes.subarray(at, at + MAX_FRAME_BYTES)));
    }
  }

  open(head: RequestHead, handlers: StreamHandlers, isLast: boolean): TunnelStream | undefined {
    if (this.#streams.isUsedUp && this.isOpen) this.drain(HELLO_TIMEOUT_MS);
    if (!this.isOpen || !this.#streams.hasRoom || this.#sender.isBacklogged) return undefined;
    const json = JSON.stringify(head);
    if (Buffer.byteLength(json) > MAX_HEAD_BYTES) throw new FrameError('limit', 'the head of a request is too large');
    const stream = this.#streams.addOurs(handlers);
    this.sendControl(toFrame(FRAME.request, isLast ? FLAG_END : 0, stream.id, json));
    if (isLast) stream.markSent();
    return stream;
  }

  drain(graceMs: number, retryAfterMs?: number): void {
    if (this.isClosed || this.#isLeaving) return;
    this.#isDraining = true;
    this.#isLeaving = true;
    this.#sendGoaway({ code: 'drain', detail: 'planned', ...(retryAfterMs !== undefined && { retryAfterMs }) });
    this.#drainTimer = setTimeout(() => this.close('drain', 'the time to finish is over', retryAfterMs), graceMs);
    this.#closeIfDrained();
  }

  close(code: CloseCode, detail: string, retryAfterMs?: number): void {
    this.#finish({ code, detail, isRemote: false, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  }

  sendControl(frame: Buffer): void {
    this.#sender.sendControl(frame);
  }

  onReady(stream: Stream): void {
    this.#sender.sendFrom(stream);
  }

  onStreamClosed(stream: Stream): void {
    this.#streams.remove(stream);
    this.#closeIfDrained();
  }

  onFault(error: unknown): void {
    const detail = `a fault of this end: ${error instanceof Error ? String(error) : typeof error}`;
    if (this.isClosed) process.emitWarning(detail);
    // SECURITY: the other end hears nothing of what is inside.
    else this.#finish({ code: 'unavailable', detail, isRemote: false }, 'a fault of this end');
  }

  takeHello(hello: Hello): void {
    this.peer = hello;
    clearTimeout(this.#helloTimer);
    if (this.#hasWelcomed) this.#pulse.start();
    this.#handlers.onHello(hello);
  }

  takePong(): void {
    this.#pulse.onPong();
  }

  takeGoaway({ code: number, lastStream, detail, retryAfterMs }: Goaway): void {
    const code = toCloseCode(number);
    const closed: Closed = { code, detail, isRemote: true, ...(retryAfterMs !== undefined && { retryAfterMs }) };
    this.#isDraining = true;
    this.#streams.refuseOursAbove(lastStream);
    if (this.isClosed) return;
    if (code !== 'drain') {
      this.#finish(closed);
    } else if (this.#farewell === undefined) {
      this.#farewell = closed;
      this.#handlers.onDraining?.(closed);
    }
  }

  #receive(parser: FrameParser, chunk: Buffer): void {
    // What comes behind the end is read and forgotten: left unread it would turn the end into a TCP reset.
    if (this.isClosed) return;
    this.#pulse.onHeard();
    try {
      parser.push(chunk);
    } catch (error) {
      if (error instanceof FrameError) this.close(error.code, error.message);
      else this.onFault(error);
    }
  }

  #sendGoaway({ code, detail, retryAfterMs }: { code: CloseCode; detail: string; retryAfterMs?: number }): void {
    const goaway = {
      code: CLOSE_CODES[code],
      lastStream: this.#streams.lastTheirs,
      detail: toReason(detail),
      retryAfterMs,
    };
    this.sendControl(toFrame(FRAME.goaway, 0, 0, JSON.stringify(goaway)));
  }

  #closeIfDrained(): void {
    if (this.#isLeaving && !this.isClosed && this.#streams.count === 0) this.close('drain', 'everything is finished');
  }

  #toLoss(): Closed {
    return { code: 'lost', detail: this.#socketError?.message ?? 'closed without a word', isRemote: true };
  }

  /** @param told what the other end is told, as far as it is told anything */
  #finish(closed: Closed, told = closed.detail): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#pulse.stop();
    clearTimeout(this.#helloTimer);
    clearTimeout(this.#drainTimer);
    const { code } = closed;
    if (code !== 'lost' && !closed.isRemote) this.#sendGoaway({ ...closed, code, detail: told });
    this.#sender.close();
    this.#streams.resetAll('lost');
    this.#closeSocket();
    try {
      this.#handlers.onClose(closed);
    } catch (error) {
      this.onFault(error);
    }
  }

  #closeSocket(): void {
    if (this.#socket.destroyed) return;
    this.#socket.end();
    const cut = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE_MS);
    this.#socket.once('close', () => clearTimeout(cut));
  }
}
