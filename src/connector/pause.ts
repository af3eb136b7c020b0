import type { Readable } from 'node:stream';

/** How long a caller may take nothing of an answer that waits for it, in milliseconds; then the request is cut. */
export const MAX_PAUSE_MS = 600_000;

/**
 * The time in which an application waits for a caller.
 * SECURITY: a caller that never reads must not hold a connection of the application for ever, whatever else it sends.
 */
export class Pause {
  readonly #maxMs: number;
  readonly #onTooLong: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(maxMs: number, onTooLong: () => void) {
    this.#maxMs = maxMs;
    this.#onTooLong = onTooLong;
  }

  get isOn(): boolean {
    return this.#timer !== undefined;
  }

  /** Reads nothing more of the answer for now. */
  begin(answer: Readable | undefined): void {
    answer?.pause();
    this.#timer ??= setTimeout(this.#onTooLong, this.#maxMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
