import { type DestinationStream, destination } from 'pino';

/** How long lines of a `moment` wait for others, to be written with them, in milliseconds. */
export const LOG_GATHER_MS = 10;
/** Lines that wait are written sooner once they have so many characters together. */
export const LOG_GATHER_LENGTH = 65_536;

const WARN = 40;

/**
 * Which lines of the log go out in one write: those of one turn of the event loop, or those of a moment. Warnings and errors do not
 * wait, and take along what does.
 */
export type LogGathering = 'turn' | 'moment';

const LATER: Readonly<Record<LogGathering, (flush: () => void) => void>> = {
  turn: (flush) => void setImmediate(flush),
  moment: (flush) => void setTimeout(flush, LOG_GATHER_MS).unref(),
};

/**
 * The standard output, for a log: several lines go out in one write, since each write costs as much as making a line. What
 * waits when the process ends is written then.
 */
export function createLogOutput(gathering: LogGathering): DestinationStream {
  const later = LATER[gathering];
  const output = destination({ dest: 1, sync: true });
  let waiting = '';
  let isFlushDue = false;
  let isEndWatched = false;
  const flush = (): void => {
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
      else if (!isFlushDue) {
        isFlushDue = true;
        later(() => {
          isFlushDue = false;
          flush();
        });
      }
    },
    flushSync: flush,
  } as DestinationStream & { lastLevel: number };
}
