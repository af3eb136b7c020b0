import type { Ending, EndingFeed, EndingWatcher } from './ports.ts';
import { ENDED_CHANNEL } from './redis-keys.ts';
import type { RedisSubscriber } from './redis-subscriber.ts';

const ENDING = /^(session|identity|conversation) (.+)$/s;

/** Endings in Redis: the scripts that end something publish it, in the same step. */
export function createRedisEndings(subscriber: RedisSubscriber): EndingFeed & { tell(ending: Ending): void } {
  const watchers = new Set<EndingWatcher>();
  const tell = (ending: Ending): void => watchers.forEach((watcher) => watcher.onEnding(ending));
  subscriber.on(ENDED_CHANNEL, (message) => {
    const [, kind, id] = ENDING.exec(message) ?? [];
    if (kind !== undefined && id !== undefined) tell({ kind: kind as Ending['kind'], id });
  });
  return {
    tell,
    watch: (watcher) => {
      watchers.add(watcher);
      const stopListening = subscriber.onGap(() => watcher.onGap());
      return () => {
        watchers.delete(watcher);
        stopListening();
      };
    },
  };
}
