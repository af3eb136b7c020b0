/** How long a wall clock must have been where it is before it is believed for deleting: longer than any replay record lives. */
export const SETTLED_MS = 4_500_000;
/** How far the wall clock may run ahead of the time that went by without being asked, in milliseconds. */
const SLACK_MS = 2_000;

/**
 * Before which instant of the wall clock rows may be deleted, in milliseconds.
 * SECURITY: a clock that is set ahead and back must not make us forget, not even over a restart. So deleting follows
 * the time that goes by, and a clock that is ahead of that (as every clock is to a process that has just started) is
 * believed only once it has been so for {@link SETTLED_MS}: by then every assertion from before has expired.
 */
export function createSweepPace(nowMs: () => number, monotonicMs: () => number): () => number {
  let anchorMs = Number.NEGATIVE_INFINITY;
  let aheadSinceMs: number | undefined = monotonicMs();
  return () => {
    const elapsedMs = monotonicMs();
    const paced = Math.floor(anchorMs + elapsedMs);
    const now = nowMs();
    if (now <= paced + SLACK_MS) {
      aheadSinceMs = undefined;
      return Math.min(now, paced);
    }
    aheadSinceMs ??= elapsedMs;
    if (elapsedMs - aheadSinceMs < SETTLED_MS) return Number.isFinite(paced) ? paced : 0;
    anchorMs = now - elapsedMs;
    aheadSinceMs = undefined;
    return now;
  };
}
