/** Counts what comes too fast. */
export interface TokenBucket {
  /** @returns false where there is no token left */
  take(): boolean;
}

/** A bucket of `burst` tokens that is filled by `perSecond`. @param nowMs - a clock that never goes back */
export function createTokenBucket(perSecond: number, burst: number, nowMs: () => number): TokenBucket {
  let tokens = burst;
  let filledAtMs = nowMs();
  return {
    take: () => {
      const now = nowMs();
      tokens = Math.min(burst, tokens + ((now - filledAtMs) / 1000) * perSecond);
      filledAtMs = now;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
