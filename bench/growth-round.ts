import { join } from 'node:path';

import { JSON_FIELDS } from './bodies.ts';
import { planBodyCount } from './body-plan.ts';
import type { GrowthOptions } from './growth-options.ts';
import { CONNECTION_COUNT, fire, type LoadResult, RanDryError } from './load.ts';
import { readCpuSeconds } from './server.ts';

/** The guess for the first round: more than a core exchanges in a second. */
const FIRST_BOUND = 12_000;
/** What every server may be expected to reach again, however slow its rounds were, requests a second. */
const LEAST_BOUND = 3_000;
/** How often a round may be done again, with twice as many bodies each time. */
const MAX_REPEATS = 2;

/** What was seen of servers that were loaded together. */
export interface GrowthRound {
  /** Of all of them, requests a second. */
  readonly rate: number;
  /** Processor time of the servers for one request. */
  readonly cpuMicroseconds: number;
  /** Processor time of Redis for one request; 0 where there is none. */
  readonly redisMicroseconds: number;
}

/** Servers that share a store, and how they are loaded. */
export interface GrowthLoad {
  readonly servers: readonly { readonly url: string; readonly pid: number }[];
  readonly redisPid?: number;
  /** Bodies that are accepted once. */
  createBodies(count: number): readonly string[];
  /** Of the load, as `taskset` takes them. */
  readonly cores: string;
  /** Rates of all servers in the rounds so far. */
  readonly seenRates: readonly number[];
}

type Tools = Pick<GrowthOptions, 'generator' | 'folder' | 'log'>;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

async function readAllCpuSeconds(pids: readonly number[]): Promise<number> {
  return sum(await Promise.all(pids.map(readCpuSeconds)));
}

async function fireAtAll(load: GrowthLoad, seconds: number, tools: Tools, repeat: number): Promise<LoadResult[]> {
  const boundRate = FIRST_BOUND;
  const seenRates = load.seenRates.map((rate) => Math.max(LEAST_BOUND, rate));
  const count = planBodyCount({ seenRates, boundRate, seconds, connectionCount: CONNECTION_COUNT });
  const shots = load.servers.map(({ url }) => ({
    url: `${url}/authorize`,
    fields: JSON_FIELDS,
    bodies: load.createBodies(count * 2 ** repeat),
    isSingleUse: true,
    seconds,
  }));
  return Promise.all(
    shots.map((one, at) => fire(tools.generator, one, join(tools.folder, `bodies-${at}`), load.cores)),
  );
}

/**
 * Loads all the servers at the same time with exchanges, as fast as they answer.
 * @throws Error where one is refused, or there were not enough bodies three times
 */
export async function measureGrowthRound(
  load: GrowthLoad,
  seconds: number,
  tools: Tools,
  repeat = 0,
): Promise<GrowthRound> {
  const pids = load.servers.map(({ pid }) => pid);
  const redisPids = load.redisPid === undefined ? [] : [load.redisPid];
  const before = await Promise.all([readAllCpuSeconds(pids), readAllCpuSeconds(redisPids)]);
  try {
    const results = await fireAtAll(load, seconds, tools, repeat);
    const after = await Promise.all([readAllCpuSeconds(pids), readAllCpuSeconds(redisPids)]);
    const requestCount = sum(results.map((one) => one.requestCount));
    return {
      rate: sum(results.map((one) => one.requestCount / one.durationSeconds)),
      cpuMicroseconds: ((after[0] - before[0]) / requestCount) * 1e6,
      redisMicroseconds: ((after[1] - before[1]) / requestCount) * 1e6,
    };
  } catch (error) {
    if (!(error instanceof RanDryError) || repeat === MAX_REPEATS) throw error;
    tools.log(`not counted, and done again with more: ${error.message}`);
    return measureGrowthRound(load, seconds, tools, repeat + 1);
  }
}
