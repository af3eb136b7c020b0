import { AppError } from '../../../../src/core/errors.ts';
import type { PresenceStore } from '../../../../src/stores/ports.ts';

/** Presence in memory, which a test can take away. Nothing expires by itself. */
export interface FakePresence extends PresenceStore {
  readonly bodies: Map<string, string>;
  /** `announce gateway:a`, `withdraw gateway:a`, `list gateway:`, in their order; of calls that failed too. */
  readonly calls: string[];
  isAway: boolean;
  /** Tells everybody who watches. */
  tell(): void;
}

export function createFakePresence(): FakePresence {
  const watchers = new Set<() => void>();
  const bodies = new Map<string, string>();
  const calls: string[] = [];
  const answer = async <T>(call: string, act: () => T): Promise<T> => {
    calls.push(call);
    if (presence.isAway) throw new AppError('store_unavailable');
    return act();
  };
  const tell = (): void => watchers.forEach((watcher) => watcher());
  const presence: FakePresence = {
    bodies,
    calls,
    isAway: false,
    tell,
    announce: (owner, body) =>
      answer(`announce ${owner}`, () => {
        const isNew = bodies.get(owner) !== body;
        bodies.set(owner, body);
        if (isNew) tell();
      }),
    withdraw: (owner) =>
      answer(`withdraw ${owner}`, () => {
        if (bodies.delete(owner)) tell();
      }),
    list: (prefix) =>
      answer(`list ${prefix}`, () =>
        [...bodies]
          .filter(([owner]) => owner.startsWith(prefix))
          .map(([owner, body]) => ({ owner, body }))
          .toSorted((one, next) => (one.owner < next.owner ? -1 : 1)),
      ),
    watch: (onChange) => {
      watchers.add(onChange);
      return () => void watchers.delete(onChange);
    },
  };
  return presence;
}
