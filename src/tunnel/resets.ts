import type { IncomingMessage } from 'node:http';

/** What may stand before a request, and is passed over (RFC 9112 §2.2): through TLS nothing is sent of nothing. */
const PROBE = Buffer.from('\r\n');

/** Tells answers that end with their connection from those whose connection was reset. */
export interface Resets {
  /** Stands before whatever reads the answer. */
  watch(answer: IncomingMessage): void;
  /** Whether an answer that lasts until its connection is closed lasted until it was reset. Asked when it has ended. */
  isCut(answer: IncomingMessage): boolean;
}

/** Whether an answer has no other end than that of its connection (RFC 9112 §6.3). */
export function isEndedByClosing({ headers }: IncomingMessage): boolean {
  return headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
}

/**
 * SECURITY: a reset right behind the last byte is told as an end, which would make a body without a length look whole. Only what is
 * sent after it learns of it, and at once: before the answer that came with it ends. No other connection is touched: what was
 * upgraded may go on in one direction.
 */
export function createResets(): Resets {
  const reset = new WeakSet<object>();
  return {
    watch: (answer) => {
      if (!isEndedByClosing(answer)) return;
      const { socket } = answer;
      socket.prependOnceListener('end', () => {
        socket.write(PROBE, (error) => {
          if (error) reset.add(socket);
        });
      });
    },
    isCut: ({ socket }) => reset.has(socket),
  };
}
