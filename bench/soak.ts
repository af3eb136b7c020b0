/**
 * Holds many sockets at once: `npm run soak`. Every socket is a user of its own, signed in and started as the published clients
 * do it, who says something now and then and waits for the answer. On both stores in turn, on loopback alone; writes what it
 * saw to docs/performance.md.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { resolve } from 'node:path';

import { createTempFolder, startRedis } from '../test/support/processes.ts';
import { CORES } from './load.ts';
import { placeBlock, toMedian, toQuantile } from './report.ts';
import { pinProcess } from './server.ts';
import { DROP_EVERY, type Outcome, soak, type SoakPlan } from './soak-run.ts';

const PAGE = resolve('docs', 'performance.md');
const PLAN: SoakPlan = {
  socketCount: Number(process.env['SOAK_SOCKETS'] ?? 2_000),
  holdSeconds: Number(process.env['SOAK_SECONDS'] ?? 60),
  messageEverySeconds: 10,
  settleMs: 2_000,
};

const toMiB = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
const toKiB = (bytes: number): string => (bytes / 2 ** 10).toFixed(1);

function toRow({
  store,
  openSeconds,
  emptyBytes,
  idleBytes,
  heldBytes,
  answers,
  failures,
  restarted,
}: Outcome): string {
  const cells = [
    store,
    PLAN.socketCount.toLocaleString('en-US'),
    openSeconds.toFixed(1),
    toMiB(emptyBytes),
    toMiB(idleBytes),
    toMiB(heldBytes),
    toKiB((idleBytes - emptyBytes) / PLAN.socketCount),
    answers.length.toLocaleString('en-US'),
    `${toMedian(answers).toFixed(1)} / ${toQuantile(answers, 0.99).toFixed(1)} / ${Math.max(...answers).toFixed(0)}`,
    String(restarted),
    String(failures),
  ];
  return `| ${cells.join(' | ')} |`;
}

async function run(): Promise<void> {
  const folder = await createTempFolder();
  const redis = await startRedis();
  try {
    for (const pid of [process.pid, redis.pid]) await pinProcess(pid, CORES.load);
    const outcomes = [
      await soak('embedded', folder, {}, PLAN),
      await soak('redis', folder, { COUNTERSIGN_REDIS_URL: redis.url }, PLAN),
    ];
    const table = [
      '| store | sockets | opened in, s | memory before, MiB | with idle sockets, MiB | after the messages, MiB | KiB a socket | answers | answered in ms, median / p99 / longest | restarted | failed |',
      '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
      ...outcomes.map(toRow),
    ].join('\n');
    console.log(table);
    const facts = [
      `Measured ${new Date().toISOString().slice(0, 10)} by \`npm run soak\`.`,
      `Machine: ${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores. Node ${process.versions.node}.`,
      `${PLAN.holdSeconds} s; each socket says something every ${PLAN.messageEverySeconds} s; every ${DROP_EVERY}th is dropped once and started again.`,
    ];
    const block = `${table}\n\n${facts.map((fact) => `- ${fact}`).join('\n')}`;
    await writeFile(PAGE, placeBlock(await readFile(PAGE, 'utf8'), 'soak', block));
    if (outcomes.some(({ failures }) => failures > 0)) process.exitCode = 1;
  } finally {
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await run();
