/**
 * Measures what one core serves, and writes the figures to docs/performance.md and the chart beside it. Every server runs on one
 * core, the load and Redis on another, all on loopback. Each contestant is warmed up, then all are measured in turn, round
 * after round.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';

import { createTempFolder, startRedis } from '../test/support/processes.ts';
import { toChart } from './chart.ts';
import type { Contestant } from './contestant.ts';
import { startContestants } from './contestants.ts';
import { LATENCY_ROUND_COUNT, LATENCY_SECONDS, measureLatencies } from './latency.ts';
import { findLoadGenerator } from './load-generators.ts';
import { CONNECTION_COUNT, CORES } from './load.ts';
import type { Run } from './measured.ts';
import { measureRates, ROUND_COUNT, ROUND_SECONDS, RUN_UP_SECONDS, WARM_UP_SECONDS } from './rates.ts';
import { toCeilingTable, toLatencyTable, toRateTable } from './rate-tables.ts';
import { placeBlock, toFacts } from './report.ts';
import { pinProcess } from './server.ts';
import { judge, toTargetTable } from './targets.ts';

const PAGE = resolve('docs', 'performance.md');
const CHART = resolve('docs', 'performance.svg');

async function measureAll(generator: ReturnType<typeof findLoadGenerator>): Promise<Run> {
  const folder = await createTempFolder();
  const contestants: Contestant[] = [];
  const redis = await startRedis();
  try {
    await pinProcess(redis.pid, CORES.load);
    await startContestants(contestants, { folder, redisUrl: redis.url });
    const rates = await measureRates(contestants, { generator, folder });
    return { ...rates, latencies: await measureLatencies(contestants, rates, folder) };
  } finally {
    const children = new Set(contestants.map(({ server }) => server.child));
    await Promise.all([...children].map((child) => child.stop()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(): Promise<void> {
  if (availableParallelism() < 2) throw new Error('the bench needs two cores: one for the server, one for the load');
  const othersLoad = loadavg()[0] ?? NaN;
  const generator = findLoadGenerator();
  const measured = await measureAll(generator);
  const facts = toFacts({
    othersLoad,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    nodeVersion: process.versions.node,
    load: `${generator.name}, ${CONNECTION_COUNT} connections`,
    rounds:
      `Warm-up ${WARM_UP_SECONDS} s, then ${ROUND_COUNT} rounds of ${ROUND_SECONDS} s each, in turn, each after a run-up of ${RUN_UP_SECONDS} s; ` +
      `latency: ${LATENCY_ROUND_COUNT} rounds of ${LATENCY_SECONDS} s, of which the first second does not count. All of it took ${Math.ceil(performance.now() / 1000)} s.`,
  });
  const blocks = {
    targets: toTargetTable(judge(measured)),
    bench: `${toRateTable(measured.contestants)}\n\n${facts}`,
    ceilings: toCeilingTable(measured.ceilings),
    latency: toLatencyTable(measured.latencies),
  };
  let page = await readFile(PAGE, 'utf8');
  for (const [name, block] of Object.entries(blocks)) {
    console.log(`\n${block}`);
    page = placeBlock(page, name, block);
  }
  await writeFile(PAGE, page);
  await writeFile(CHART, toChart(measured.contestants));
}

await run();
