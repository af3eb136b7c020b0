import { type DestinationStream, destination } from 'pino';

/** How long lines of the log wait for others, to be written with them, in milliseconds. Warnings and errors do not wait. */
export const LOG_GATHER_MS = 10;
/** Lines that wait are written sooner once they have so many characters together. */
export const LOG_GATHER_LENGTH = 65_536;

const WARN = 40;

/**
 * The standard output, for a log: the lines of a moment go out in one write, since each write costs as much as making a
 * line. What waits when the process ends is written then.
 */
export function createLogOutput(): DestinationStream {
  const output = destination({ dest: 1, sync: true });
  let waiting = '';
  let timer: NodeJS.Timeout | undefined;
  let isEndWatched = false;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const lines = waiting;
    waiting = '';
    if (lines !== '') output.write(lines);
  };
  return {
    // By this pino is asked to say the level of each line before it is written.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string): void {
      waiting += line;
      if (!isEndWatched) process.once('exit', flush);
      isEndWatched = true;
      if (this.lastLevel >= WARN || waiting.length >= LOG_GATHER_LENGTH) flush();
      else timer ??= setTimeout(flush, LOG_GATHER_MS).unref();
    },
    flushSync: flush,
  } as DestinationStream & { lastLevel: number };
}
