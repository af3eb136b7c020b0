/**
 * Measures what one core serves, and writes the figures to docs/performance.md. Every server runs on one core, the load
 * and Redis on another, all on loopback. Each contestant is warmed up, then all are measured in turn, round after round.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';

import { createTempFolder, startRedis } from '../test/support/processes.ts';
import { writeBodies } from './assertions.ts';
import { type Contestant, STARTERS } from './contestants.ts';
import { CONNECTION_COUNT, CORES, findLoadGenerator, fire, type LoadGenerator } from './load.ts';
import { type Measured, placeFigures, toMedian, toTable } from './report.ts';
import { pinProcess } from './server.ts';

const PAGE = resolve('docs', 'performance.md');
const WARM_UP_SECONDS = 3;
const ROUND_SECONDS = 3;
const ROUND_COUNT = 3;
/** More than any server here answers: each request of the first round needs an assertion of its own. */
const FASTEST_RATE = 30_000;
/** How much faster than the fastest round so far another may be. */
const RATE_MARGIN = 1.6;

/** Loads one contestant. @returns requests a second */
async function measure(contestant: Contestant, seconds: number, expectedRate: number, tools: { generator: LoadGenerator; folder: string }): Promise<number> {
  const bodiesFile = join(tools.folder, 'bodies.jsonl');
  await writeBodies(bodiesFile, contestant.createBodies(Math.ceil(expectedRate * seconds) + CONNECTION_COUNT));
  const shots = { url: contestant.url, bodiesFile, durationSeconds: seconds };
  const { requestCount, durationSeconds } = await fire(tools.generator, shots);
  return requestCount / durationSeconds;
}

async function measureAll(contestants: readonly Contestant[], tools: { generator: LoadGenerator; folder: string }): Promise<Measured[]> {
  const rates = new Map<Contestant, number[]>();
  const fastest = new Map<Contestant, number>();
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    for (const contestant of contestants) {
      const expected = (fastest.get(contestant) ?? FASTEST_RATE) * (round === 0 ? 1 : RATE_MARGIN);
      const rate = await measure(contestant, round === 0 ? WARM_UP_SECONDS : ROUND_SECONDS, expected, tools);
      fastest.set(contestant, Math.max(rate, fastest.get(contestant) ?? 0));
      if (round > 0) rates.set(contestant, [...(rates.get(contestant) ?? []), rate]);
      console.log(`${round === 0 ? 'warm-up' : `round ${round}`}: ${contestant.name}: ${Math.round(rate)}/s`);
    }
  }
  return contestants.map((contestant) => ({ name: contestant.name, rates: rates.get(contestant) ?? [] }));
}

async function run(): Promise<void> {
  if (availableParallelism() < 2) throw new Error('the bench needs two cores: one for the server, one for the load');
  const generator = findLoadGenerator();
  const folder = await createTempFolder();
  const contestants: Contestant[] = [];
  const redis = await startRedis();
  try {
    await pinProcess(redis.pid, CORES.load);
    for (const start of STARTERS) contestants.push(await start({ folder, redisUrl: redis.url }));
    const measured = await measureAll(contestants, { generator, folder });
    const table = toTable(measured);
    console.log(`\n${table}\n`);
    const page = placeFigures(await readFile(PAGE, 'utf8'), table, {
      date: new Date().toISOString().slice(0, 10),
      machine: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
      nodeVersion: process.versions.node,
      load: `${generator.name}, ${CONNECTION_COUNT} connections`,
      rounds: `Warm-up ${WARM_UP_SECONDS} s, then ${ROUND_COUNT} rounds of ${ROUND_SECONDS} s each, in turn.`,
    });
    await writeFile(PAGE, page);
    if (measured.some(({ rates }) => !Number.isFinite(toMedian(rates)))) throw new Error('a contestant was not measured');
  } finally {
    await Promise.all(contestants.map(({ server }) => server.child.stop()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await run();
