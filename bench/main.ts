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
import { type Figures, type Measured, placeFigures, toTable } from './report.ts';
import { pinProcess, readCpuSeconds } from './server.ts';

const PAGE = resolve('docs', 'performance.md');
const WARM_UP_SECONDS = 3;
const ROUND_SECONDS = 3;
const ROUND_COUNT = 3;
/** More than any server here exchanges in a second: each request needs an assertion of its own. */
const MAX_RATE = 30_000;

interface Tools {
  readonly generator: LoadGenerator;
  readonly folder: string;
}

async function measure(contestant: Contestant, seconds: number, tools: Tools): Promise<Figures> {
  const { url, server } = contestant;
  const bodiesFile = join(tools.folder, 'bodies.jsonl');
  await writeBodies(bodiesFile, contestant.createBodies(MAX_RATE * seconds));
  const cpuBefore = await readCpuSeconds(server.child.pid);
  const { requestCount, durationSeconds } = await fire(tools.generator, { url, bodiesFile, durationSeconds: seconds });
  const cpuSeconds = (await readCpuSeconds(server.child.pid)) - cpuBefore;
  return { rate: requestCount / durationSeconds, cpuMicroseconds: (cpuSeconds / requestCount) * 1e6 };
}

async function measureAll(contestants: readonly Contestant[], tools: Tools): Promise<Measured[]> {
  const rounds = new Map<Contestant, Figures[]>(contestants.map((contestant) => [contestant, []]));
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    const isWarmUp = round === 0;
    for (const contestant of contestants) {
      const figures = await measure(contestant, isWarmUp ? WARM_UP_SECONDS : ROUND_SECONDS, tools);
      rounds.get(contestant)?.push(figures);
      const { rate, cpuMicroseconds } = figures;
      console.log(
        `${isWarmUp ? 'warm-up' : `round ${round}`}: ${contestant.name}: ${rate.toFixed(0)}/s, ${cpuMicroseconds.toFixed(0)} µs`,
      );
    }
  }
  return contestants.map((contestant) => ({ name: contestant.name, rounds: (rounds.get(contestant) ?? []).slice(1) }));
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
  } finally {
    await Promise.all(contestants.map(({ server }) => server.child.stop()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await run();
