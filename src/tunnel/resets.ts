import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** What may stand before a request, and is passed over (RFC 9112 §2.2): through TLS nothing is sent of nothing. */
const PROBE = Buffer.from('\r\n');

/** Tells connections that were reset from those that were closed. */
export interface Resets {
  watch(socket: Socket): void;
  /** Whether an answer that lasts until its connection is closed lasted until it was reset. */
  isCut(answer: IncomingMessage): boolean;
}

/**
 * SECURITY: a reset right behind the last byte is told as an end, which would make a body without a length look whole. Only what is
 * sent after it learns of it, and at once: before the answer that came with it ends.
 */
export function createResets(): Resets {
  const reset = new WeakSet<object>();
  return {
    watch: (socket) => {
      socket.prependOnceListener('end', () => {
        socket.write(PROBE, (error) => {
          if (error) reset.add(socket);
        });
      });
    },
    isCut: ({ socket, headers }) =>
      reset.has(socket) && headers['content-length'] === undefined && headers['transfer-encoding'] === undefined,
  };
}
