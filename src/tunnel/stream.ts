import { RESET_CODES, type ResetCode } from './codes.ts';
import { FLAG_END, FRAME, FrameError, toFrame, toNumberFrame, writeFrameHeader } from './frames.ts';
import { isFinal } from './heads.ts';
import {
  FRAME_HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_FRAME_BYTES,
  MAX_HEAD_BYTES,
  MAX_INFORMATIONAL_HEADS,
  STREAM_QUEUE_BYTES,
} from './limits.ts';
import type { Fields, ResponseHead, StreamHandlers, TunnelStream } from './messages.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendQueue } from './send-queue.ts';
import type { StreamHost } from './stream-host.ts';

/** The highest sum of credit: more is a mistake of the other end. */
const MAX_CREDIT_BYTES = 0x7fff_ffff;
const NO_TRAILERS: Fields = [];
const IGNORING = { onEnd: () => undefined, onReset: () => undefined };

/** A stream of a connection. What begins with `take` is called by the connection for what came from the other end. */
export class Stream implements TunnelStream {
  readonly id: number;
  /** Whether this end opened it. */
  readonly isOurs: boolean;
  /** Whether it waits for its turn to send. */
  isQueued = false;
  readonly #host: StreamHost<Stream>;
  readonly #window: ReceiveWindow;
  #handlers: StreamHandlers;
  readonly #queue = new SendQueue();
  #credit = INITIAL_WINDOW_BYTES;
  /** As a frame. */
  #trailers: Buffer | undefined;
  #isEnded = false;
  #isSent = false;
  #isReceived: boolean;
  #isIgnoring = false;
  #isAnswered = false;
  #informationalHeads = 0;
  #isCut = false;
  #awaitsDrain = false;

  constructor(id: number, isOurs: boolean, isReceived: boolean, handlers: StreamHandlers, host: StreamHost<Stream>) {
    this.id = id;
    this.isOurs = isOurs;
    this.#isReceived = isReceived;
    this.#handlers = handlers;
    this.#host = host;
    this.#window = new ReceiveWindow(host.connectionBudget, host.processBudget, () => this.fail('limit'));
  }

  get isClosed(): boolean {
    return this.#isCut || (this.#isSent && this.#isReceived);
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Whether an answer was begun, by either end. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Whether {@link takeTurn} would send something. */
  get isReady(): boolean {
    if (this.isClosed || this.#isSent) return false;
    return this.#queue.bytes > 0 ? this.#credit > 0 : this.#isEnded;
  }

  set handlers(handlers: StreamHandlers) {
    this.#handlers = handlers;
  }

  respond(head: ResponseHead, isLast = false): void {
    if (this.isOurs) throw new TypeError('an answer on a stream of our own');
    if (this.#isCut || this.#isEnded) return;
    const frame = toFrame(FRAME.response, isLast ? FLAG_END : 0, this.id, JSON.stringify(head));
    if (frame.length > FRAME_HEADER_BYTES + MAX_HEAD_BYTES) {
      this.fail('limit');
      return;
    }
    this.#host.sendControl(frame);
    this.#isAnswered ||= isFinal(head.status);
    if (isLast) this.markSent();
  }

  write(chunk: Buffer): boolean {
    if (this.#isCut || this.#isEnded || chunk.length === 0) return true;
    this.#queue.push(chunk);
    if (this.isReady) this.#host.onReady(this);
    // Who was told to wait once is told when to go on, though it wrote more meanwhile.
    this.#awaitsDrain ||= this.#queue.bytes > STREAM_QUEUE_BYTES;
    return !this.#awaitsDrain;
  }

  end(trailers: Fields = NO_TRAILERS): void {
    if (this.#isCut || this.#isEnded) return;
    if (trailers.length > 0) {
      const frame = toFrame(FRAME.trailers, FLAG_END, this.id, JSON.stringify({ fields: trailers }));
      if (frame.length > FRAME_HEADER_BYTES + MAX_HEAD_BYTES) {
        this.fail('limit');
        return;
      }
      this.#trailers = frame;
    }
    this.#isEnded = true;
    if (this.isReady) this.#host.onReady(this);
  }

  reset(code: ResetCode): void {
    this.#sendReset(code);
    this.#cut();
  }

  ignoreRest(): void {
    this.#isIgnoring = true;
    this.#handlers = { ...IGNORING, onData: (part) => this.consumed(part.length) };
    this.consumed(this.#window.unconsumedBytes);
    if (this.#isSent && !this.isClosed) this.reset('refused');
  }

  consumed(bytes: number): void {
    if (this.#isCut || !(bytes > 0)) return;
    if (this.#isReceived) {
      this.#window.settle(bytes);
      if (this.isClosed && this.#window.unconsumedBytes === 0) this.#window.release();
      return;
    }
    const { nowMs, roundTripMs } = this.#host;
    const grant = this.#window.consume(bytes, nowMs(), roundTripMs);
    if (grant > 0) this.#host.sendControl(toNumberFrame(FRAME.window, this.id, grant));
  }

  /** Cuts the stream and tells its owner, too; also one that is complete, of which not everything was consumed. */
  fail(code: ResetCode): void {
    this.#sendReset(code);
    this.#cut(code);
  }

  /** This end's direction is complete on the wire. */
  markSent(): void {
    this.#isEnded = true;
    this.#isSent = true;
    if (this.#isIgnoring && !this.isClosed) this.reset('refused');
    else this.#closeIfWhole();
  }

  /** Puts at most one frame into `batch`. @returns its bytes */
  takeTurn(batch: Buffer[]): number {
    if (this.#queue.bytes === 0) return this.#takeEnd(batch);
    const payload = this.#queue.take(Math.min(this.#credit, MAX_FRAME_BYTES));
    const isLast = this.#isEnded && this.#queue.bytes === 0 && this.#trailers === undefined;
    this.#credit -= payload.length;
    const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    writeFrameHeader(header, 0, payload.length, FRAME.data, isLast ? FLAG_END : 0, this.id);
    batch.push(header, payload);
    if (this.#awaitsDrain && this.#queue.bytes * 2 <= STREAM_QUEUE_BYTES) {
      this.#awaitsDrain = false;
      this.#tell((handlers) => handlers.onDrain?.());
    }
    if (isLast) this.markSent();
    return FRAME_HEADER_BYTES + payload.length;
  }

  takeResponse(head: ResponseHead, isLast: boolean): void {
    if (!this.isOurs || this.#isAnswered || this.#isReceived || (isLast && !isFinal(head.status))) {
      throw new FrameError('protocol', `a response that stream ${this.id} does not wait for`);
    }
    this.#isAnswered = isFinal(head.status);
    // SECURITY: no window bounds heads.
    if (!this.#isAnswered && ++this.#informationalHeads > MAX_INFORMATIONAL_HEADS) {
      this.fail('limit');
      return;
    }
    this.#tell((handlers) => handlers.onResponse?.(head));
    if (isLast) this.takeEnd(NO_TRAILERS);
  }

  takeData(part: Buffer, isEnd: boolean): void {
    if (this.#isReceived || (this.isOurs && !this.#isAnswered)) {
      throw new FrameError('protocol', `a body that stream ${this.id} does not wait for`);
    }
    if (part.length > 0) {
      if (!this.#window.take(part.length)) throw new FrameError('protocol', `more than the window of ${this.id}`);
      this.#tell((handlers) => handlers.onData(part));
    }
    if (isEnd) this.takeEnd(NO_TRAILERS);
  }

  takeEnd(trailers: Fields): void {
    if (this.#isCut) return;
    if (this.#isReceived || (this.isOurs && !this.#isAnswered)) {
      throw new FrameError('protocol', `an end that stream ${this.id} does not wait for`);
    }
    this.#isReceived = true;
    this.#tell((handlers) => handlers.onEnd(trailers));
    this.#closeIfWhole();
  }

  takeCredit(bytes: number): void {
    this.#credit += bytes;
    if (bytes === 0 || this.#credit > MAX_CREDIT_BYTES) {
      throw new FrameError('protocol', `a window of stream ${this.id} that cannot be`);
    }
    if (this.isReady) this.#host.onReady(this);
  }

  takeReset(code: ResetCode): void {
    if (!this.isClosed) this.#cut(code);
  }

  #takeEnd(batch: Buffer[]): number {
    const frame = this.#trailers ?? toFrame(FRAME.data, FLAG_END, this.id);
    batch.push(frame);
    this.markSent();
    return frame.length;
  }

  #sendReset(code: ResetCode): void {
    if (!this.isClosed) this.#host.sendControl(toNumberFrame(FRAME.reset, this.id, RESET_CODES[code]));
  }

  /** Ends the stream and gives back what it holds; its owner is told `code`, if it is not the owner who ends it. */
  #cut(code?: ResetCode): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#queue.clear();
    this.#window.release();
    if (code !== undefined) this.#tell((handlers) => handlers.onReset(code));
    this.#host.onStreamClosed(this);
  }

  /** SECURITY: what its owner throws ends this connection, never the process. */
  #tell(call: (handlers: StreamHandlers) => void): void {
    try {
      call(this.#handlers);
    } catch (error) {
      this.#host.onFault(error);
    }
  }

  #closeIfWhole(): void {
    if (this.#isCut || !this.#isSent || !this.#isReceived) return;
    if (this.#window.unconsumedBytes === 0) this.#window.release();
    this.#host.onStreamClosed(this);
  }
}
