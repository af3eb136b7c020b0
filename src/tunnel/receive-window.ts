import {
  INITIAL_WINDOW_BYTES,
  MAX_CONNECTION_GROWTH_BYTES,
  MAX_PROCESS_BUFFER_BYTES,
  MAX_PROCESS_GROWTH_BYTES,
  MAX_WINDOW_BYTES,
  PART_OVERHEAD_BYTES,
} from './limits.ts';

/** What the streams of a process, or of one connection, take together. */
export interface BufferBudget {
  /** Received and not consumed, in bytes, {@link PART_OVERHEAD_BYTES} for each part included. */
  bufferedBytes: number;
  /** By how much windows have grown, in bytes. */
  grownBytes: number;
  /** Of a process: the windows that hold something. */
  readonly holders: Set<ReceiveWindow>;
}

/** One for a process, handed to all its connections. */
export const createBufferBudget = (): BufferBudget => ({ bufferedBytes: 0, grownBytes: 0, holders: new Set() });

/**
 * Cuts a stream if all hold too much together: of the connection that holds most, the one that holds most.
 * SECURITY: readers that are slow must not fill the process's memory, however many they are, nor cost others their
 * streams: one connection with many small hoards goes before another one's single large stream.
 */
export function relieve(budget: BufferBudget): void {
  if (budget.bufferedBytes <= MAX_PROCESS_BUFFER_BYTES) return;
  let fullest: ReceiveWindow | undefined;
  for (const window of budget.holders) {
    const ahead = fullest === undefined ? 1 : window.connectionBytes - fullest.connectionBytes;
    if (ahead > 0 || (ahead === 0 && window.heldBytes > (fullest?.heldBytes ?? 0))) fullest = window;
  }
  fullest?.cut();
}

/** A stream that fills its whole window within so many round trips is slowed down by it. */
const ROUND_TRIPS_TO_FILL = 2;
/** Where no round trip was measured yet, and the least that is reckoned with, in milliseconds. */
const LEAST_ROUND_TRIP_MS = 1;

/** What the other end of one stream may send. */
export class ReceiveWindow {
  /** Gives up the stream that this is the window of. */
  readonly cut: () => void;
  readonly #connection: BufferBudget;
  readonly #process: BufferBudget;
  #size = INITIAL_WINDOW_BYTES;
  /** What the other end may still send. */
  #credit = INITIAL_WINDOW_BYTES;
  #unconsumed = 0;
  #held = 0;
  #ungranted = 0;
  #grantedAtMs = 0;

  constructor(connection: BufferBudget, process: BufferBudget, cut: () => void) {
    this.cut = cut;
    this.#connection = connection;
    this.#process = process;
  }

  /** Received and not consumed, in bytes. */
  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  /** What that takes of the budgets, in bytes. */
  get heldBytes(): number {
    return this.#held;
  }

  /** What all the streams of its connection take, in bytes. */
  get connectionBytes(): number {
    return this.#connection.bufferedBytes;
  }

  /** @returns false where the other end sent more than it may */
  take(bytes: number): boolean {
    this.#credit -= bytes;
    this.#unconsumed += bytes;
    this.#hold(bytes + PART_OVERHEAD_BYTES);
    return this.#credit >= 0;
  }

  /** Counts bytes as consumed without granting others. @returns how many there really were */
  settle(bytes: number): number {
    // More than came is a mistake of the caller's; it must not widen anything.
    const real = Math.min(bytes, this.#unconsumed);
    this.#hold(-(real === this.#unconsumed ? this.#held : Math.floor((this.#held * real) / this.#unconsumed)));
    this.#unconsumed -= real;
    return real;
  }

  /** @returns for how many bytes a WINDOW frame is due, 0 for none yet */
  consume(bytes: number, nowMs: number, roundTripMs = LEAST_ROUND_TRIP_MS): number {
    this.#ungranted += this.settle(bytes);
    if (this.#ungranted * 2 < this.#size) return 0;
    const grant = this.#ungranted + this.#grow(nowMs, Math.max(roundTripMs, LEAST_ROUND_TRIP_MS));
    this.#grantedAtMs = nowMs;
    this.#ungranted = 0;
    this.#credit += grant;
    return grant;
  }

  /** Gives back what the window has of the budgets; what was not consumed is not counted any more. */
  release(): void {
    this.settle(this.#unconsumed);
    const growth = this.#size - INITIAL_WINDOW_BYTES;
    this.#size = INITIAL_WINDOW_BYTES;
    this.#connection.grownBytes -= growth;
    this.#process.grownBytes -= growth;
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#connection.bufferedBytes += bytes;
    this.#process.bufferedBytes += bytes;
    if (this.#held > 0) this.#process.holders.add(this);
    else this.#process.holders.delete(this);
  }

  #grow(nowMs: number, roundTripMs: number): number {
    const isSlowedDown = this.#grantedAtMs > 0 && nowMs - this.#grantedAtMs < ROUND_TRIPS_TO_FILL * roundTripMs;
    const growth = Math.min(this.#size, MAX_WINDOW_BYTES - this.#size);
    const hasRoom =
      this.#connection.grownBytes + growth <= MAX_CONNECTION_GROWTH_BYTES &&
      this.#process.grownBytes + growth <= MAX_PROCESS_GROWTH_BYTES;
    if (!isSlowedDown || !hasRoom) return 0;
    this.#size += growth;
    this.#connection.grownBytes += growth;
    this.#process.grownBytes += growth;
    return growth;
  }
}
