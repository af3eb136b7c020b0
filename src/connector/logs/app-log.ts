import { type Clock, toIsoDate } from '../../core/clock.ts';
import { includesLevel, LOG_LEVELS, type LogLevel } from './levels.ts';
import { redactFields, redactText } from './redact.ts';

export type LogFields = Readonly<Record<string, unknown>>;
type Say = (message: string, fields?: LogFields) => void;

/** The application log: one method for each level. */
export type AppLog = Readonly<Record<LogLevel, Say>>;

export interface AppLogOptions {
  /** Takes one line without its line feed. */
  readonly write: (line: string, level: LogLevel) => void;
  /** Asked for each line: it may change while the agent runs. */
  readonly level: () => LogLevel;
  readonly clock: Clock;
  /** The worker that speaks; the primary where it is left out. */
  readonly worker?: number;
  /** In a worker: what ends it does not end the agent, so `fatal` is written as `critical`. */
  readonly highest?: LogLevel;
}

/**
 * A log of JSON lines: `at`, `level`, `worker`, `message`, then the fields. A value cannot forge a line, for JSON
 * escapes its line feeds. Nothing is written after the one `fatal` line.
 */
export function createAppLog({ write, level, clock, worker, highest = 'fatal' }: AppLogOptions): AppLog {
  let isOver = false;
  const createSay = (given: LogLevel): Say => {
    const at = includesLevel(given, highest) ? given : highest;
    return (message, fields) => {
      if (isOver || !includesLevel(level(), at)) return;
      isOver = at === 'fatal';
      const fixed = {
        at: toIsoDate(clock.nowSeconds()),
        level: at,
        ...(worker !== undefined && { worker }),
        message: redactText(message),
      };
      write(JSON.stringify(fields ? { ...fixed, ...redactFields(fields), ...fixed } : fixed), at);
    };
  };
  return Object.fromEntries(LOG_LEVELS.map((name) => [name, createSay(name)])) as unknown as AppLog;
}
