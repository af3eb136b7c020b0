import { join } from 'node:path';

import { isSingleUse } from './bodies.ts';
import { type Contestant, toScript } from './contestant.ts';
import { checkResult, runOnLoadCore, type Shots, writeBodies } from './load.ts';
import { findRates, type LatencyFigures, type MeasuredLatency, type Run } from './measured.ts';
import { toMedian } from './report.ts';

/** Whose latency is measured. */
const CONTESTANT_IDS: readonly string[] = ['authorize-embedded', 'authorize-redis', 'issuer-hs256', 'issuer-rs256'];
const PEAK_SHARE = 0.5;
/** How long, of which the first is a run-up that does not count, and how often in turn. */
export const LATENCY_SECONDS = 3;
export const LATENCY_ROUND_COUNT = 3;
/**
 * The load never sleeps, so everyone else on its core goes first: beside one of the same priority Redis waits for up to 3 ms
 * now and then (p99), beside this one 0.2 ms. Room for young objects keeps its own collections of garbage few.
 */
const LOAD_COMMAND = ['nice', '-n', '19', process.execPath, '--max-semi-space-size=64', toScript('./latency-load.js')];

interface LatencyResult extends LatencyFigures {
  readonly requestCount: number;
  readonly refusedCount: number;
  readonly failedCount: number;
  readonly sentCount: number;
}

async function measureRound(
  { url, fields, bodies }: Contestant,
  rate: number,
  folder: string,
): Promise<LatencyFigures> {
  const count = Math.floor(rate * LATENCY_SECONDS);
  const texts = isSingleUse(bodies) ? await bodies.create(count) : bodies.all;
  const shots: Shots = { url, fields, bodies: texts, isSingleUse: isSingleUse(bodies), seconds: LATENCY_SECONDS };
  const file = join(folder, 'bodies');
  await writeBodies(file, shots.bodies);
  const args = [url, file, String(LATENCY_SECONDS), JSON.stringify(fields), String(rate)];
  const result = await runOnLoadCore<LatencyResult>([...LOAD_COMMAND, ...args]);
  checkResult(result, shots);
  const { p50Ms, p99Ms, maxMs } = result;
  return { p50Ms, p99Ms, maxMs };
}

/** The rate at which the latency is measured: half of the median of the rounds, in whole requests a second. */
export const planLatencyRate = (rates: readonly number[]): number => Math.floor(toMedian(rates) * PEAK_SHARE);

/** Measures the latency at half of the rate that each of them reached before. */
export async function measureLatencies(
  contestants: readonly Contestant[],
  run: Omit<Run, 'latencies'>,
  folder: string,
): Promise<MeasuredLatency[]> {
  const chosen = contestants.filter(({ id }) => CONTESTANT_IDS.includes(id));
  const planned = chosen.map((contestant) => ({
    contestant,
    rate: planLatencyRate(findRates({ ...run, latencies: [] }, contestant.id).rates),
    rounds: [] as LatencyFigures[],
  }));
  for (let round = 1; round <= LATENCY_ROUND_COUNT; round += 1) {
    for (const { contestant, rate, rounds } of planned) {
      const figures = await measureRound(contestant, rate, folder);
      rounds.push(figures);
      const { p50Ms, p99Ms, maxMs } = figures;
      const shown = `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, longest ${maxMs.toFixed(1)} ms`;
      console.log(`latency, round ${round}: ${contestant.name}: ${rate}/s, ${shown}`);
    }
  }
  return planned.map(({ contestant: { id, name }, rate, rounds }) => ({ id, name, rate, rounds }));
}
