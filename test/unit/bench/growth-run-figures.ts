import type { GrowthRound } from '../../../bench/growth-round.ts';
import type { GrowthRun } from '../../../bench/growth-run.ts';

/** A round of 1,000 requests a second. */
export const toGrowthRound = (cpuMicroseconds: number, redisMicroseconds = 0, rate = 1_000): GrowthRound => ({
  rate,
  cpuMicroseconds,
  redisMicroseconds,
});

/** A run in which everything is met by a hair but the embedded store's processor time and the bytes of a session. */
export const GROWTH_RUN: GrowthRun = {
  bytes: { embedded: { jti: 100, session: 200 }, redis: { jti: 130, session: 501 } },
  wire: { http: 1_250, redis: 500 },
  growth: {
    embedded: {
      steps: [
        {
          store: 'embedded',
          exchangeCount: 1_000_000,
          rounds: [
            { control: toGrowthRound(100), loaded: toGrowthRound(116) },
            { control: toGrowthRound(200), loaded: toGrowthRound(232) },
            { control: toGrowthRound(100), loaded: toGrowthRound(100) },
          ],
        },
      ],
      skipped: ['left out'],
    },
    redis: {
      steps: [
        {
          store: 'redis',
          exchangeCount: 10_000_000,
          rounds: [{ control: toGrowthRound(100, 20, 1_150), loaded: toGrowthRound(115, 21) }],
        },
      ],
      skipped: [],
    },
  },
  workers: [{ one: toGrowthRound(90, 20), two: toGrowthRound(100, 22, 1_900) }],
};
