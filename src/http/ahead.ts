import type { IncomingMessage } from 'node:http';

/**
 * What a shortcut had done of a request before it left it to Express: it was counted, its body was read, and it failed, or only
 * Express can answer it.
 */
export interface Ahead {
  /** Undefined where nothing failed. */
  readonly failure: unknown;
  /** When the request came, on `performance.now()`'s clock, in milliseconds. */
  readonly startedAtMs: number;
}

const AHEAD = Symbol('ahead');

/** Remembers what was done, so that nothing of it is done again. */
export function noteAhead(req: IncomingMessage, ahead: Ahead): void {
  (req as { [AHEAD]?: Ahead })[AHEAD] = ahead;
}

/** @returns undefined where Express was the first to see the request */
export function readAhead(req: IncomingMessage): Ahead | undefined {
  return (req as { [AHEAD]?: Ahead })[AHEAD];
}
