import type { BufferBudget } from './receive-window.ts';

/** What a stream needs of its connection. */
export interface StreamHost<Stream> {
  readonly roundTripMs: number | undefined;
  readonly connectionBudget: BufferBudget;
  readonly processBudget: BufferBudget;
  readonly nowMs: () => number;
  /** Sends a frame ahead of all bodies. */
  sendControl(frame: Buffer): void;
  /** The stream has something that it may send. */
  onReady(stream: Stream): void;
  /** The stream is over. */
  onStreamClosed(stream: Stream): void;
  /** The stream's owner threw. */
  onFault(error: unknown): void;
}
