import { type Clock, toIsoDate } from '../../core/clock.ts';
import type { LogFile } from './log-file.ts';

/** Lines that wait for the disk, in characters. What comes beyond them goes to the standard error alone. */
export const MAX_APP_LOG_QUEUE_CHARS = 4_194_304;
/** After a failure of the disk, until it is tried again, in seconds. */
export const APP_LOG_RETRY_SECONDS = 5;

export interface AppLogWriterDeps {
  readonly file: LogFile;
  readonly clock: Clock;
  /** Where lines go that the file cannot take. */
  readonly printError: (line: string) => void;
}

/** Writes the lines of the application log, one batch after the other. */
export interface AppLogWriter {
  write(line: string): void;
  /** Resolves when nothing waits any more: written, or printed. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A disk that fails does not end the agent: lines go to the standard error until it is back. */
export function createAppLogWriter({ file, clock, printError }: AppLogWriterDeps): AppLogWriter {
  let queue: string[] = [];
  let queuedChars = 0;
  let writing: Promise<void> | undefined;
  let failedAt: number | undefined;
  let missing = 0;

  const print = (lines: readonly string[]): void => {
    missing += lines.length;
    for (const line of lines) printError(line);
  };

  const toNote = (message: string, fields: object): string =>
    JSON.stringify({ at: toIsoDate(clock.nowSeconds()), level: 'warn', message, ...fields });

  const writeBatch = async (lines: readonly string[]): Promise<void> => {
    const isTooEarly = failedAt !== undefined && Math.abs(clock.nowSeconds() - failedAt) < APP_LOG_RETRY_SECONDS;
    if (isTooEarly) return print(lines);
    try {
      const notes = missing > 0 ? [toNote('the log is written again', { linesOnStandardErrorOnly: missing })] : [];
      await file.append(`${[...notes, ...lines].join('\n')}\n`);
      failedAt = undefined;
      missing = 0;
    } catch (error) {
      if (failedAt === undefined) {
        const why = error instanceof Error ? error.message : String(error);
        printError(toNote('the application log cannot be written', { error: why }));
      }
      failedAt = clock.nowSeconds();
      print(lines);
    }
  };

  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const lines = queue;
      queue = [];
      queuedChars = 0;
      await writeBatch(lines);
    }
    writing = undefined;
  };

  // What is written while this waits belongs to the same run of `drain`.
  const flush = async (): Promise<void> => writing;

  return {
    write: (line) => {
      if (queuedChars > MAX_APP_LOG_QUEUE_CHARS) return print([line]);
      queue.push(line);
      queuedChars += line.length;
      writing ??= Promise.resolve().then(drain);
    },
    flush,
    close: async () => {
      await flush();
      await file.close().catch(() => undefined);
    },
  };
}
