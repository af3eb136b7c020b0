import type { Express, Request } from 'express';

/** Counts that several processes keep together. */
export interface SharedCounters {
  /**
   * Counts one more of `key` in a window that begins with its first.
   * @returns how many there were, and how long the window lasts, in milliseconds from now
   */
  add(key: string, windowMs: number): Promise<{ readonly count: number; readonly leftMs: number }>;
  /** Counts one less, where there is a window of `key` and anything in it. */
  giveBack(key: string): Promise<void>;
}

const SETTING = 'shared counters';

/** Lets every limit of an app be counted together with other processes. */
export function setSharedCounters(app: Express, counters: SharedCounters | undefined): void {
  if (counters !== undefined) app.set(SETTING, counters);
}

/** What counts together for the app of a request. @returns undefined where every process counts for itself */
export function getSharedCounters(req: Request): SharedCounters | undefined {
  return req.app.get(SETTING) as SharedCounters | undefined;
}
