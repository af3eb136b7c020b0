import type { Ending, ExchangeAttempt, Store } from '../../src/stores/ports.ts';
import { createAttempt, sessionNameOf, until } from './attempts.ts';

/** A backend with a store on it that is open. */
export interface Opened {
  readonly store: Store;
  /** One more store on the same backend. */
  readonly open: () => Promise<Store>;
  /** Lets `ms` pass on the backend's clock, then waits until `isReached` holds, which it must soon. */
  readonly afterwards: (ms: number, isReached: () => Promise<boolean>) => Promise<void>;
}

/** Waits until `ms` have passed for everything that the backend keeps. */
export async function letPass({ store, afterwards }: Opened, ms: number): Promise<void> {
  const probe = createAttempt({ sessionMs: ms + 1 });
  await store.sessions.exchange(probe);
  await afterwards(ms + 1, async () => (await store.sessions.find(probe.tag, probe.session.key)) === undefined);
}

/** Everything that ends from now on, as `watching` is told of it. */
export interface EndingLog {
  /** What has ended, each once, in the order in which it was told first. */
  read(): Promise<Ending[]>;
  stop(): void;
}

/** The shard of sessions that end to mark a place among the endings. */
const MARK_TAG = 'aaaa';

/** @param other - another store on the same backend; what it ends comes behind all that ended before */
export async function watchEndings(watching: Store, other: Store): Promise<EndingLog> {
  const seen: Ending[] = [];
  const has = (ending: Ending): boolean => seen.some(({ kind, id }) => kind === ending.kind && id === ending.id);
  const stop = watching.endings.watch({
    onEnding: (ending) => {
      if (!has(ending)) seen.push(ending);
    },
    onGap: () => undefined,
  });
  const read = async (): Promise<Ending[]> => {
    const mark = createAttempt({ tag: MARK_TAG });
    await other.sessions.exchange(mark);
    await other.sessions.revoke(MARK_TAG, mark.session.key);
    await until(() => has(toSessionEnding(mark)), 'the mark is told');
    return seen.filter(({ id }) => !id.startsWith(MARK_TAG));
  };
  // What ended before may still be on its way.
  await read();
  seen.length = 0;
  return { read, stop };
}

/** The ending of an attempt's session. */
export function toSessionEnding(attempt: ExchangeAttempt): Ending {
  const { tag, key } = sessionNameOf(attempt);
  return { kind: 'session', id: `${tag}.${key}` };
}
