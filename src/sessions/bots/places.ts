/** Places for what is under way at the same time, with a share for each user. */
export interface Places {
  /**
   * Waits for a place.
   * @returns what gives it back
   * @throws the signal's reason when that is aborted first
   */
  enter(userId: string, signal: AbortSignal): Promise<() => void>;
}

interface Waiting {
  readonly userId: string;
  readonly begin: () => void;
}

/** First come, first served, but for those whose share is taken: they are passed over. */
export function createPlaces(max: number, maxPerUser: number): Places {
  const taken = new Map<string, number>();
  const queue = new Set<Waiting>();
  let count = 0;

  const hasRoom = (userId: string): boolean => count < max && (taken.get(userId) ?? 0) < maxPerUser;
  const occupy = (userId: string): void => {
    count += 1;
    taken.set(userId, (taken.get(userId) ?? 0) + 1);
  };
  const leave = (userId: string): void => {
    count -= 1;
    const left = (taken.get(userId) ?? 0) - 1;
    if (left > 0) taken.set(userId, left);
    else taken.delete(userId);
    for (const waiting of queue) {
      if (count >= max) return;
      if (!hasRoom(waiting.userId)) continue;
      queue.delete(waiting);
      waiting.begin();
    }
  };

  return {
    enter: async (userId, signal) => {
      signal.throwIfAborted();
      if (hasRoom(userId)) occupy(userId);
      else await waitFor(userId, signal);
      return () => leave(userId);
    },
  };

  function waitFor(userId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        queue.delete(waiting);
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const waiting: Waiting = {
        userId,
        begin: () => {
          signal.removeEventListener('abort', giveUp);
          occupy(userId);
          resolve();
        },
      };
      signal.addEventListener('abort', giveUp, { once: true });
      queue.add(waiting);
    });
  }
}
