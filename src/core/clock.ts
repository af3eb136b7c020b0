/** The wall clock, handed to whatever needs the time so that a test can set it. */
export interface Clock {
  /** The time in seconds since the epoch (RFC 7519 NumericDate), with a fraction. */
  nowSeconds(): number;
  /** Seconds since a moment of no meaning, with a fraction. Nobody can set them: for how long something lasted. */
  elapsedSeconds(): number;
}

/** The machine's clock. The only place where `Date.now()` is read. */
export const systemClock: Clock = {
  nowSeconds: () => Date.now() / 1000,
  elapsedSeconds: () => performance.now() / 1000,
};

/** A NumericDate as ISO 8601 with milliseconds, as the seeds' clients show it. */
export function toIsoDate(atSeconds: number): string {
  return new Date(Math.round(atSeconds * 1000)).toISOString();
}
