/** How much faster a contestant may become than it ever was, by how often it was measured. */
const GROWTHS = [1.5, 2.5] as const;
const LATER_GROWTH = 2;

/** What a plan for bodies that are accepted once goes by. Rates in requests a second. */
export interface BodyPlan {
  /** Of the contestant itself, in the rounds so far. */
  readonly seenRates: readonly number[];
  /** Of one that does less for each request: the guess where nothing was seen yet. */
  readonly boundRate: number;
  readonly seconds: number;
  /** Requests that may be under way when the time is over. */
  readonly connectionCount: number;
}

/** How many bodies are made for a round: more than can be used, and not many more, since some take long to make. */
export function planBodyCount({ seenRates, boundRate, seconds, connectionCount }: BodyPlan): number {
  const fastest = seenRates.length === 0 ? boundRate : Math.max(...seenRates);
  return Math.ceil(fastest * seconds * (GROWTHS[seenRates.length] ?? LATER_GROWTH)) + connectionCount;
}
