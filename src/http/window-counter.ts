/** Keys that one window tells apart; what comes beyond them is counted as one. */
export const MAX_COUNTED_KEYS = 100_000;

/** How often each key came within the running window, in this process's memory. */
export interface WindowCounter {
  /** Counts one more. @returns how many there were in the window, this one included */
  add(key: string): number;
  /** Counts one more that may be given back, to the window that it was taken from alone. */
  take(key: string): { readonly count: number; readonly giveBack: () => void };
  /** How many there were in the window. */
  count(key: string): number;
  /** Until the next window, in whole seconds, at least 1. */
  secondsLeft(): number;
}

export interface WindowCounterDeps {
  readonly windowMs: number;
  /** Time that nobody can set, in milliseconds. */
  readonly monotonicMs?: () => number;
}

/** A counter whose windows follow each other. Its memory is bounded, however many keys come. */
export function createWindowCounter({
  windowMs,
  monotonicMs = () => performance.now(),
}: WindowCounterDeps): WindowCounter {
  let endsAtMs = -Infinity;
  let counts = new Map<string, number>();
  const roll = (): void => {
    const nowMs = monotonicMs();
    if (nowMs < endsAtMs) return;
    endsAtMs = nowMs + windowMs;
    counts = new Map();
  };
  const slotOf = (key: string): string => (counts.has(key) || counts.size < MAX_COUNTED_KEYS ? key : '');
  const take: WindowCounter['take'] = (key) => {
    roll();
    const [window, slot] = [counts, slotOf(key)];
    const count = (window.get(slot) ?? 0) + 1;
    window.set(slot, count);
    return { count, giveBack: () => void window.set(slot, Math.max(0, (window.get(slot) ?? 0) - 1)) };
  };
  return {
    add: (key) => take(key).count,
    take,
    count: (key) => {
      roll();
      return counts.get(slotOf(key)) ?? 0;
    },
    secondsLeft: () => Math.max(1, Math.ceil((endsAtMs - monotonicMs()) / 1000)),
  };
}
