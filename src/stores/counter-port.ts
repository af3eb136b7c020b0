/** Counts that several machines keep together. */
export interface CounterStore {
  /**
   * Counts one more of `key` in a window that begins with its first.
   * @returns how many there were, and how long the window lasts, in milliseconds from now
   */
  add(key: string, windowMs: number): Promise<{ readonly count: number; readonly leftMs: number }>;
  /** Counts one less, where there is a window of `key` and anything in it. */
  giveBack(key: string): Promise<void>;
}
