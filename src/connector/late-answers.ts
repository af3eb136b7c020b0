import type { Socket } from 'node:net';

/** How long an application that takes nothing more of a request may still be heard, in milliseconds. */
export const LATE_ANSWER_MS = 500;

/** What a write says where the other end has closed. */
const CLOSED: ReadonlySet<string | undefined> = new Set(['EPIPE', 'ECONNRESET']);

type Done = (error?: Error | null) => void;

/**
 * Has a socket go on reading for {@link LATE_ANSWER_MS} where it cannot write any more. An application that refuses a body
 * answers and closes; Node gives a socket up with the first write that fails, and the answer that has come with it.
 */
export function hearLateAnswers(socket: Socket): void {
  const put = socket._write.bind(socket);
  const putMany = socket._writev?.bind(socket);
  const toLate =
    (done: Done): Done =>
    (error) => {
      // Behind the end nothing comes any more.
      if (!error || socket.destroyed || socket.readableEnded || !CLOSED.has((error as NodeJS.ErrnoException).code)) {
        done(error);
        return;
      }
      const timer = setTimeout(() => done(error), LATE_ANSWER_MS);
      socket.once('close', () => clearTimeout(timer));
    };
  socket._write = (chunk, encoding, done) => put(chunk, encoding, toLate(done));
  if (putMany) socket._writev = (chunks, done) => putMany(chunks, toLate(done));
}
