import { join } from 'node:path';

import { isSingleUse } from './bodies.ts';
import { planBodyCount } from './body-plan.ts';
import type { Contestant } from './contestant.ts';
import { CONNECTION_COUNT, fire, type LoadGenerator, RanDryError } from './load.ts';
import type { Figures, Measured, MeasuredCeiling } from './measured.ts';
import { CEILINGS, type Ceilings, measureCeilings } from './openssl-speed.ts';
import { readCpuSeconds } from './server.ts';

/** How long everyone is warmed up. */
export const WARM_UP_SECONDS = 1;
/** How long everyone is loaded before each round: who was idle while the others were measured is slower in its first second. */
export const RUN_UP_SECONDS = 1;
/** How long everyone is measured, and how often in turn. */
export const ROUND_SECONDS = 1;
export const ROUND_COUNT = 3;

/** What the load needs. */
export interface LoadTools {
  readonly generator: LoadGenerator;
  readonly folder: string;
}

type Seen = ReadonlyMap<string, Figures[]>;

/** How often a round may be done again, with twice as many bodies each time. */
const MAX_REPEATS = 2;

/** @param share of the planned number */
async function createBodies(
  { id, bodies }: Contestant,
  seconds: number,
  seen: Seen,
  share: number,
): Promise<readonly string[]> {
  if (!isSingleUse(bodies)) return bodies.all;
  const bound = seen.get(bodies.noFasterThan)?.at(-1);
  if (bound === undefined) throw new TypeError(`${bodies.noFasterThan} was not measured before ${id}`);
  const seenRates = (seen.get(id) ?? []).map(({ rate }) => rate);
  const plan = { seenRates, boundRate: bound.rate, seconds, connectionCount: CONNECTION_COUNT };
  return bodies.create(planBodyCount(plan) * share);
}

async function measure(
  contestant: Contestant,
  seconds: number,
  seen: Seen,
  tools: LoadTools,
  repeat = 0,
): Promise<Figures> {
  const { url, fields, server } = contestant;
  const bodies = await createBodies(contestant, seconds, seen, 2 ** repeat);
  const shots = { url, fields, bodies, isSingleUse: isSingleUse(contestant.bodies), seconds };
  const cpuBefore = await readCpuSeconds(server.child.pid);
  try {
    const { requestCount, durationSeconds } = await fire(tools.generator, shots, join(tools.folder, 'bodies'));
    const cpuSeconds = (await readCpuSeconds(server.child.pid)) - cpuBefore;
    return { rate: requestCount / durationSeconds, cpuMicroseconds: (cpuSeconds / requestCount) * 1e6 };
  } catch (error) {
    if (!(error instanceof RanDryError) || repeat === MAX_REPEATS) throw error;
    console.log(`${contestant.name}: not counted, and done again with more: ${error.message}`);
    return measure(contestant, seconds, seen, tools, repeat + 1);
  }
}

/** Warms everyone up, then measures everyone in turn, round after round; the primitives with them. */
export async function measureRates(
  contestants: readonly Contestant[],
  tools: LoadTools,
): Promise<{ contestants: Measured[]; ceilings: MeasuredCeiling[] }> {
  const seen = new Map<string, Figures[]>(contestants.map(({ id }) => [id, []]));
  const ceilings: Ceilings[] = [];
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    const title = round === 0 ? 'warm-up' : `round ${round}`;
    if (round > 0) ceilings.push(await measureCeilings());
    for (const contestant of contestants) {
      if (round > 0) await measure(contestant, RUN_UP_SECONDS, seen, tools);
      const figures = await measure(contestant, round === 0 ? WARM_UP_SECONDS : ROUND_SECONDS, seen, tools);
      seen.get(contestant.id)?.push(figures);
      const { rate, cpuMicroseconds } = figures;
      console.log(`${title}: ${contestant.name}: ${rate.toFixed(0)}/s, ${cpuMicroseconds.toFixed(0)} µs`);
    }
  }
  const measured = contestants.map(({ id, name, group }) => ({
    id,
    name,
    group,
    rounds: seen.get(id)?.slice(1) ?? [],
  }));
  const ids = Object.keys(CEILINGS) as (keyof Ceilings)[];
  const primitives = ids.map((id) => ({ id, name: CEILINGS[id], rates: ceilings.map((one) => one[id]) }));
  return { contestants: measured, ceilings: primitives };
}
