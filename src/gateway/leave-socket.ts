import type { Duplex } from 'node:stream';

/** How long whoever has his last answer may keep the connection, in milliseconds; then it is cut. */
export const LEAVE_GRACE_MS = 2_000;
/** How long a caller may take to read what is left of an answer that is complete, in milliseconds; then it is cut. */
export const LAST_BYTES_TIMEOUT_MS = 600_000;

/**
 * Ends a connection that Node's server has handed over, behind `last`. What still comes is read and forgotten: unread, it
 * would take the answer with it, and nobody would see that the other end has gone.
 * SECURITY: who never ends his own direction must not keep the connection.
 */
export function leaveSocket(socket: Duplex, last = ''): void {
  let timer = setTimeout(() => socket.destroy(), LAST_BYTES_TIMEOUT_MS);
  socket.once('finish', () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.destroy(), LEAVE_GRACE_MS);
  });
  socket.once('close', () => clearTimeout(timer));
  socket.end(last, 'latin1').resume();
}
