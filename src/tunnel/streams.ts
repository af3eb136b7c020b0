import { CANCEL_WINDOW_MS, MAX_CANCELS_PER_SECOND, MAX_STREAMS } from './limits.ts';
import { FrameError, MAX_STREAM_ID } from './frames.ts';
import type { ResetCode } from './codes.ts';
import { Stream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';
import type { StreamHandlers } from './messages.ts';

const SECOND_MS = 1_000;
const MAX_CANCELS = (MAX_CANCELS_PER_SECOND * CANCEL_WINDOW_MS) / SECOND_MS;

/** The streams of one connection, and the ids that were used. A gateway opens odd ones, an agent even ones. */
export class Streams {
  readonly #open = new Map<number, Stream>();
  readonly #host: StreamHost<Stream>;
  readonly #isGateway: boolean;
  #nextOurs: number;
  #lastTheirs = 0;
  #oursCount = 0;
  #cancels = 0;
  #cancelsSinceMs = 0;

  constructor(isGateway: boolean, host: StreamHost<Stream>) {
    this.#isGateway = isGateway;
    this.#nextOurs = isGateway ? 1 : 2;
    this.#host = host;
  }

  get count(): number {
    return this.#open.size;
  }

  /** The highest stream of the other end's that was begun. */
  get lastTheirs(): number {
    return this.#lastTheirs;
  }

  /** Whether another one can be opened here, for now. */
  get hasRoom(): boolean {
    return this.#oursCount < MAX_STREAMS && !this.isUsedUp;
  }

  /** Whether no id is left for streams of ours. */
  get isUsedUp(): boolean {
    return this.#nextOurs > MAX_STREAM_ID;
  }

  addOurs(handlers: StreamHandlers): Stream {
    const stream = new Stream(this.#nextOurs, true, false, handlers, this.#host);
    this.#nextOurs += 2;
    this.#oursCount++;
    this.#open.set(stream.id, stream);
    return stream;
  }

  /** @returns undefined where there are too many. @throws FrameError for an id that cannot be the next one */
  addTheirs(id: number, isReceived: boolean, handlers: StreamHandlers): Stream | undefined {
    if (this.#isOursById(id) || id <= this.#lastTheirs) throw new FrameError('protocol', `stream ${id} opened`);
    this.#lastTheirs = id;
    if (this.#open.size - this.#oursCount >= MAX_STREAMS) return undefined;
    const stream = new Stream(id, false, isReceived, handlers, this.#host);
    this.#open.set(id, stream);
    return stream;
  }

  /** @returns undefined for one that is over. @throws FrameError for one that never was */
  find(id: number): Stream | undefined {
    const stream = this.#open.get(id);
    if (stream !== undefined) return stream;
    const wasOpened = id > 0 && (this.#isOursById(id) ? id < this.#nextOurs : id <= this.#lastTheirs);
    if (!wasOpened) throw new FrameError('protocol', `stream ${id} was never opened`);
    return undefined;
  }

  remove(stream: Stream): void {
    if (this.#open.delete(stream.id) && stream.isOurs) this.#oursCount--;
  }

  /** Counts a stream that the other end opened and cut before it was answered. @throws FrameError above the limit */
  countCancel(nowMs: number): void {
    if (nowMs - this.#cancelsSinceMs > CANCEL_WINDOW_MS) {
      this.#cancelsSinceMs = nowMs;
      this.#cancels = 0;
    }
    if (++this.#cancels > MAX_CANCELS) throw new FrameError('limit', 'too many cancelled streams');
  }

  /** Cuts streams of ours that the other end has not begun. */
  refuseOursAbove(lastBegun: number): void {
    for (const stream of this.#open.values()) {
      if (stream.isOurs && stream.id > lastBegun) stream.takeReset('refused');
    }
  }

  /** Cuts them all, for their owners. */
  resetAll(code: ResetCode): void {
    for (const stream of this.#open.values()) stream.takeReset(code);
  }

  #isOursById(id: number): boolean {
    return (id % 2 === 1) === this.#isGateway;
  }
}
