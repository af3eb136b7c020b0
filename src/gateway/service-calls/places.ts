import { AppError } from '../../core/errors.ts';
import { MAX_CALLS, MAX_CALLS_PER_CALLER } from './limits.ts';

/** Places for calls that are under way. */
export interface CallPlaces {
  /**
   * Takes a place.
   * @returns what gives it back
   * @throws AppError `busy`
   */
  enter(callerId: string): () => void;
}

/** At most {@link MAX_CALLS}, and {@link MAX_CALLS_PER_CALLER} of one caller, unless told otherwise. */
export function createCallPlaces(max: number = MAX_CALLS, maxPerCaller: number = MAX_CALLS_PER_CALLER): CallPlaces {
  const taken = new Map<string, number>();
  let count = 0;
  return {
    enter: (callerId) => {
      const own = taken.get(callerId) ?? 0;
      if (count >= max || own >= maxPerCaller) throw new AppError('busy', { values: { seconds: 1 } });
      count += 1;
      taken.set(callerId, own + 1);
      return () => {
        count -= 1;
        const left = (taken.get(callerId) ?? 0) - 1;
        if (left > 0) taken.set(callerId, left);
        else taken.delete(callerId);
      };
    },
  };
}
