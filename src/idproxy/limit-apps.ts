import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { countTogether } from '../http/rate-limit.ts';
import type { SharedCounters } from '../http/shared-counters.ts';
import { createWindowCounter } from '../http/window-counter.ts';

const WINDOW_MS = 60_000;

/** One of the exchanges that an app has in a minute. */
export interface AppPlace {
  /** For an exchange that granted nothing new. Whatever happens to the count, it does not throw. */
  giveBack(): Promise<void>;
}

/**
 * Takes one of the exchanges that an app has in this minute. Only what the app really signed and what still holds may ask for one,
 * and only what is granted keeps it: nobody else can use the limit up, and no assertion can do so twice, of which every log and
 * every browser is full. It is taken before the exchange, so that however many come at once, no more are granted than there are.
 * @throws AppError `client_busy`
 */
export type TakePlace = (app: Pick<App, 'clientId' | 'exchangesPerMinute'>) => Promise<AppPlace>;

export interface LimitAppsDeps {
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly counters?: SharedCounters | undefined;
  readonly monotonicMs?: () => number;
}

/** Holds each app to its `exchangesPerMinute`. */
export function limitApps({ counters, monotonicMs = () => performance.now() }: LimitAppsDeps): TakePlace {
  const here = createWindowCounter({ windowMs: WINDOW_MS, monotonicMs });

  return async function takePlace({ clientId, exchangesPerMinute }) {
    const refuse = (seconds: number): never => {
      throw new AppError('client_busy', { values: { seconds }, detail: `${clientId}: ${exchangesPerMinute} a minute` });
    };
    const { count, giveBack } = here.take(clientId);
    if (count > exchangesPerMinute) {
      giveBack();
      refuse(here.secondsLeft());
    }
    if (counters === undefined) return { giveBack: async () => giveBack() };
    const key = `app ${clientId}`;
    const takenAtMs = monotonicMs();
    const together = await countTogether(counters, key);
    if (together.count > exchangesPerMinute) {
      giveBack();
      refuse(Math.max(1, Math.ceil(together.leftMs / 1000)));
    }
    return {
      giveBack: async () => {
        giveBack();
        // The window that it was taken from is over: the next one has nothing to give back.
        if (monotonicMs() - takenAtMs >= together.leftMs) return;
        // Where the count cannot be had, it is one too high for what is left of its minute.
        await counters.giveBack(key).catch(() => undefined);
      },
    };
  };
}
