import { AppError } from '../core/errors.ts';
import { createCallPlaces } from './service-calls/places.ts';

/**
 * Requests that one caller may cancel before they are answered, per second over {@link CALLER_CANCEL_WINDOW_MS}; further
 * ones of his are refused until that time is over. A twentieth of what costs an agent its connection.
 */
export const MAX_CANCELS_PER_CALLER_PER_SECOND = 250;
/** Over how long a caller's cancelled requests are counted, in milliseconds. */
export const CALLER_CANCEL_WINDOW_MS = 10_000;

const SECOND_MS = 1_000;
const MAX_CANCELS = (MAX_CANCELS_PER_CALLER_PER_SECOND * CALLER_CANCEL_WINDOW_MS) / SECOND_MS;

/** What each caller takes of a gateway. SECURITY: nobody alone can keep the others from a connector, or cost an agent its connection. */
export interface CallerShares {
  /**
   * Takes a place for a request through a connector.
   * @returns what gives it back
   * @throws AppError `busy`
   */
  enter(callerId: string): () => void;
  /** Counts a request that was cancelled before it was answered. */
  countCancel(callerId: string): void;
}

/** @param callsPerCaller requests of one caller at one time */
export function createCallerShares(
  callsPerCaller: number,
  nowMs: () => number = () => performance.now(),
): CallerShares {
  const places = createCallPlaces(Infinity, callsPerCaller);
  const cancels = new Map<string, number>();
  let sinceMs = 0;

  const toLeftMs = (): number => {
    const leftMs = sinceMs + CALLER_CANCEL_WINDOW_MS - nowMs();
    if (leftMs <= 0) cancels.clear();
    return leftMs;
  };
  return {
    enter: (callerId) => {
      // Mostly there is none.
      if (cancels.size > 0) {
        const leftMs = toLeftMs();
        if ((cancels.get(callerId) ?? 0) >= MAX_CANCELS) {
          throw new AppError('busy', {
            values: { seconds: Math.ceil(leftMs / SECOND_MS) },
            detail: 'too many cancelled requests',
          });
        }
      }
      return places.enter(callerId);
    },
    countCancel: (callerId) => {
      if (cancels.size > 0) toLeftMs();
      if (cancels.size === 0) sinceMs = nowMs();
      cancels.set(callerId, (cancels.get(callerId) ?? 0) + 1);
    },
  };
}
