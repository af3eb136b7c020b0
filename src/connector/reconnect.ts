/** The first wait before a gateway is dialled again, in milliseconds; it doubles with each attempt. */
export const RECONNECT_BASE_MS = 1_000;
/** The longest wait between two attempts, in milliseconds. */
export const RECONNECT_CAP_MS = 30_000;
/** How long a connection must have held before the next attempt counts as the first, in milliseconds. */
export const HEALTHY_AFTER_MS = 60_000;
/** The longest wait that a gateway may ask for, in milliseconds. */
export const MAX_HONOURED_RETRY_AFTER_MS = 300_000;
/** How often a second gateway node is looked for where every dial has led to the same one, in milliseconds. */
export const SPARE_RETRY_MS = 60_000;
/** Dials, one after the other, that may lead to the same node before {@link SPARE_RETRY_MS} is waited. */
export const SPARE_TRIES = 4;

/** A whole number from 0 up to, but not including, `below`. */
export type Random = (below: number) => number;

/**
 * How long to wait before an attempt, in milliseconds: full jitter, so that a fleet that lost its gateway at one moment
 * does not come back at one moment. What the gateway asked for is a floor, and is spread too.
 */
export function toReconnectDelayMs(failures: number, random: Random, retryAfterMs = 0): number {
  const ceiling = Math.min(RECONNECT_CAP_MS, RECONNECT_BASE_MS * 2 ** Math.min(Math.max(failures, 0), 16));
  return Math.min(Math.max(retryAfterMs, 0), MAX_HONOURED_RETRY_AFTER_MS) + random(ceiling + 1);
}

/** How long to wait before another node is looked for once more, in milliseconds. */
export function toSpareDelayMs(tries: number, random: Random): number {
  if (tries < SPARE_TRIES) return random(RECONNECT_BASE_MS + 1);
  return SPARE_RETRY_MS / 2 + random(SPARE_RETRY_MS + 1);
}

/** How many attempts have failed in a row, now that a connection is over which held so long. */
export function toFailures(failuresBefore: number, heldMs: number): number {
  return heldMs >= HEALTHY_AFTER_MS ? 0 : failuresBefore + 1;
}
