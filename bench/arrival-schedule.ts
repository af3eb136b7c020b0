/** Requests that are due at a fixed rate, whatever became of those before. */
export interface ArrivalSchedule {
  /** How many requests there are. */
  readonly count: number;
  /** How many of them are due by then, in milliseconds from the beginning. The first is due at once. */
  countDue(elapsedMs: number): number;
  /** When one of them is due, in milliseconds from the beginning. */
  toDueMs(index: number): number;
}

/** The requests of some seconds at a fixed rate (requests a second). */
export function createArrivalSchedule(rate: number, seconds: number): ArrivalSchedule {
  const count = Math.floor(rate * seconds);
  return {
    count,
    countDue: (elapsedMs) => Math.min(count, Math.floor((elapsedMs * rate) / 1000) + 1),
    toDueMs: (index) => (index * 1000) / rate,
  };
}
