import type { Clock } from '../../src/core/clock.ts';

/** A clock that stands still until it is set. */
export interface FakeClock extends Clock {
  set(atSeconds: number): void;
}

export function createFakeClock(atSeconds: number): FakeClock {
  let now = atSeconds;
  return {
    nowSeconds: () => now,
    elapsedSeconds: () => now,
    set: (next) => {
      now = next;
    },
  };
}
