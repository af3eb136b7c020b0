/** Levels of both logs, the most serious first. Each includes all those before it. */
export const LOG_LEVELS = ['fatal', 'critical', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Whether a log of `level` shows what is said at `at`. */
export function includesLevel(level: LogLevel, at: LogLevel): boolean {
  return LOG_LEVELS.indexOf(at) <= LOG_LEVELS.indexOf(level);
}
