import { FRAME, toFrame } from './frames.ts';
import { PING_EVERY_MS } from './limits.ts';

/** The payload of PING and PONG, in bytes. */
const PING_BYTES = 8;
/** Intervals without a sign of life that are the end. */
const MAX_MISSED = 2;

/** Asks the other end for signs of life, and measures the round trip. Whatever comes is a sign. */
export class Pulse {
  /** The last round trip, in milliseconds. */
  roundTripMs: number | undefined;
  readonly #send: (frame: Buffer) => void;
  readonly #onDead: () => void;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isHeard = true;
  #missed = 0;
  #pingedAtMs = 0;

  constructor(send: (frame: Buffer) => void, onDead: () => void, everyMs = PING_EVERY_MS) {
    this.#send = send;
    this.#onDead = onDead;
    this.#everyMs = everyMs;
  }

  start(): void {
    this.#timer = setInterval(() => this.#beat(), this.#everyMs);
    this.#ping();
  }

  onHeard(): void {
    this.#isHeard = true;
  }

  onPong(): void {
    this.roundTripMs = performance.now() - this.#pingedAtMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    this.#missed = this.#isHeard ? 0 : this.#missed + 1;
    this.#isHeard = false;
    if (this.#missed >= MAX_MISSED) this.#onDead();
    else this.#ping();
  }

  #ping(): void {
    this.#pingedAtMs = performance.now();
    this.#send(toFrame(FRAME.ping, 0, 0, Buffer.alloc(PING_BYTES)));
  }
}

/** Whether a payload is one of PING or PONG. */
export const isPing = (payload: Buffer): boolean => payload.length === PING_BYTES;
