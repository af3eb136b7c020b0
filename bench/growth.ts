/**
 * Measures whether an exchange stays as cheap as it is when millions of `jti` are live, what they take, and what a second worker gives:
 * `npm run bench:growth`. Writes the figures to docs/performance.md, and what follows from them to docs/capacity.md. On loopback alone.
 * `-- --most 1000000` leaves out what is larger.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { createTempFolder } from '../test/support/processes.ts';
import { toCapacityTables, toCosts, USAGE } from './capacity-report.ts';
import { type GrowthCores, toSizes } from './growth-options.ts';
import { judgeGrowth, toGrowthTable, toOtherTable } from './growth-report.ts';
import { type GrowthRun, runGrowth } from './growth-run.ts';
import { findLoadGenerator } from './load-generators.ts';
import { CONNECTION_COUNT, CORES } from './load.ts';
import { placeBlock } from './report.ts';
import { toTargetTable } from './targets.ts';

const GROWTH_PAGE = resolve('docs', 'performance.md');
const CAPACITY_PAGE = resolve('docs', 'capacity.md');
const WARM_UP_COUNT = 2;
const ROUND_COUNT = 5;
const ROUND_SECONDS = 2;
const CONTROL_SIZE = 10_000;
/** Everyone that assertions speak for has been there once by then. */
const REAL_COUNT = 1_000;
/** Three quarters of the next power of two: Redis' tables are then neither as full nor as empty as they get. */
const BYTE_RECORD_COUNT = 200_000;
/** From so many cores on the load has some of its own beside two workers. */
const CORES_FOR_ALL = 4;

function toCores(coreCount: number): GrowthCores {
  if (coreCount < 2) throw new Error('the bench needs two cores: one for the server, one for the load');
  return {
    server: String(CORES.server),
    second: String(CORES.load),
    load: String(CORES.load),
    sharedLoad: coreCount < CORES_FOR_ALL ? `${CORES.server},${CORES.load}` : `2-${coreCount - 1}`,
  };
}

function readMost(): number {
  const { values } = parseArgs({ options: { most: { type: 'string', default: '10000000' } } });
  const most = Number(values.most);
  if (!Number.isSafeInteger(most) || most < 1) throw new TypeError(`--most is no number of exchanges: ${values.most}`);
  return most;
}

function toFacts(run: GrowthRun, generatorName: string, othersLoad: number): string {
  const skipped = Object.values(run.growth).flatMap((one) => one.skipped);
  const facts = [
    `Measured ${new Date().toISOString().slice(0, 10)} by \`npm run bench:growth\`.`,
    `Machine: ${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores. Node ${process.versions.node}.`,
    `Load: ${generatorName}, ${CONNECTION_COUNT} connections a worker. ${ROUND_COUNT} rounds of ${ROUND_SECONDS} s a size, in turn, after ${WARM_UP_COUNT} to warm up. All of it took ${Math.ceil(performance.now() / 1000)} s.`,
    `What else the machine did when it began: a load of ${othersLoad.toFixed(1)}.`,
    ...skipped,
  ];
  return facts.map((fact) => `- ${fact}`).join('\n');
}

async function place(page: string, name: string, block: string): Promise<void> {
  console.log(`\n${block}`);
  await writeFile(page, placeBlock(await readFile(page, 'utf8'), name, block));
}

async function main(): Promise<void> {
  const sizes = toSizes(readMost());
  const cores = toCores(availableParallelism());
  const othersLoad = loadavg()[0] ?? NaN;
  const generator = findLoadGenerator();
  const folder = await createTempFolder();
  try {
    const run = await runGrowth({
      sizes,
      cores,
      generator,
      folder,
      controlSize: CONTROL_SIZE,
      warmUpCount: WARM_UP_COUNT,
      roundCount: ROUND_COUNT,
      roundSeconds: ROUND_SECONDS,
      realCount: REAL_COUNT,
      byteRecordCount: BYTE_RECORD_COUNT,
      log: console.log,
    });
    const facts = toFacts(run, generator.name, othersLoad);
    const tables = [toTargetTable(judgeGrowth(run)), toGrowthTable(run), toOtherTable(run)];
    await place(GROWTH_PAGE, 'growth', [...tables, facts].join('\n\n'));
    await place(CAPACITY_PAGE, 'capacity', `${toCapacityTables(toCosts(run), USAGE)}\n\n${facts}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
