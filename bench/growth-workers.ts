import type { GrowthOptions } from './growth-options.ts';
import { startGrowthIdproxy } from './growth-idproxy.ts';
import { type GrowthLoad, type GrowthRound, measureGrowthRound } from './growth-round.ts';
import { startIdproxyServer } from './idproxy-home.ts';
import { toCount } from './report.ts';

/** One worker and two, in each round. */
export interface WorkerRound {
  readonly one: GrowthRound;
  readonly two: GrowthRound;
}

/** Two idproxies of one home on one Redis, each on a core of its own, against the first of them alone. The load and Redis run where they find room. */
export async function measureWorkers(options: GrowthOptions): Promise<WorkerRound[]> {
  const { cores, warmUpCount, roundCount, roundSeconds, log } = options;
  const first = await startGrowthIdproxy('redis', options, cores.sharedLoad);
  try {
    const second = await startIdproxyServer(first.folder, first.home, cores.second);
    try {
      const all = [first.server, second].map(({ url, child }) => ({ url, pid: child.pid }));
      const { createBodies, redis } = first;
      const seen: Record<keyof WorkerRound, number[]> = { one: [], two: [] };
      const measure = async (which: keyof WorkerRound): Promise<GrowthRound> => {
        const load: GrowthLoad = {
          servers: which === 'one' ? all.slice(0, 1) : all,
          createBodies,
          cores: cores.sharedLoad,
          seenRates: seen[which],
          ...(redis && { redisPid: redis.pid }),
        };
        const round = await measureGrowthRound(load, roundSeconds, options);
        seen[which].push(round.rate);
        log(`${which} of two workers: ${toCount(round.rate)}/s, ${toCount(round.cpuMicroseconds)} µs`);
        return round;
      };
      const rounds: WorkerRound[] = [];
      for (let round = 1 - warmUpCount; round <= roundCount; round += 1) {
        const both = { one: await measure('one'), two: await measure('two') };
        if (round > 0) rounds.push(both);
      }
      return rounds;
    } finally {
      await second.child.stop();
    }
  } finally {
    await first.stop();
  }
}
