/**
 * Compares ways through a firewall: `npm run bench:tunnel`. Direct, OpenSSH `-R`, and gateway and agent as they ship, with
 * access control and audit on. All lead to the same origin and are measured in turn, round after round, on loopback alone;
 * writes what it saw to docs/performance.md.
 */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { startChild, waitUntilReady } from '../test/support/child.ts';
import { startConnectorChain } from '../test/support/connector-chain.ts';
import { createTempFolder, getFreePort } from '../test/support/processes.ts';
import { placeBlock } from './report.ts';
import { isListening } from './server.ts';
import { startGatewayWay } from './tunnel-gateway.ts';
import { measureIdleAgents } from './tunnel-idle.ts';
import { CASE_SECONDS, LARGE_BYTES, measureWay, type TunnelFigures } from './tunnel-load.ts';
import { type MeasuredWay, toTargetTable, toTunnelTable } from './tunnel-report.ts';
import { startSshWay } from './tunnel-ssh.ts';
import type { TunnelWay } from './tunnel-way.ts';

const PAGE = resolve('docs', 'performance.md');
const ROUND_COUNT = Number(process.env['BENCH_ROUNDS'] ?? 5);
const READY_TIMEOUT_MS = 10_000;
/** The first HAProxy with reverse HTTP. */
const HAPROXY_VERSION = [2, 9] as const;

/** Why HAProxy is not among the ways. */
async function explainHaproxy(): Promise<string> {
  const printed = await promisify(execFile)('haproxy', ['-v']).catch(() => ({ stdout: '' }));
  const [, major, minor] = /version (\d+)\.(\d+)/.exec(printed.stdout) ?? [];
  if (major === undefined) return 'HAProxy is left out: it is not installed.';
  const isNew = Number(major) > HAPROXY_VERSION[0] || (Number(major) === HAPROXY_VERSION[0] && Number(minor) >= HAPROXY_VERSION[1]); // prettier-ignore
  return isNew
    ? `HAProxy ${major}.${minor} is left out: its reverse HTTP is marked as experimental.`
    : `HAProxy ${major}.${minor} is left out: reverse HTTP came with ${HAPROXY_VERSION.join('.')}.`;
}

async function measureAll(ways: readonly TunnelWay[], largeFile: string): Promise<MeasuredWay[]> {
  const rounds = new Map<TunnelWay, TunnelFigures[]>(ways.map((way) => [way, []]));
  // The first one warms up.
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    for (const way of ways) {
      const figures = await measureWay(way, largeFile);
      rounds.get(way)?.push(figures);
      const shown = Object.entries(figures).map(([name, value]: [string, number]) => `${name} ${value.toFixed(0)}`);
      console.log(`${round === 0 ? 'warm-up' : `round ${round}`}: ${way.name}: ${shown.join(', ')}`);
    }
  }
  return ways.map((way) => ({ name: way.name, rounds: (rounds.get(way) ?? []).slice(1) }));
}

async function run(): Promise<void> {
  const others = loadavg()[0] ?? NaN;
  const folder = await createTempFolder();
  const largeFile = join(folder, 'large');
  await writeFile(largeFile, Buffer.alloc(LARGE_BYTES, 'x'));
  const originPort = await getFreePort();
  const script = fileURLToPath(new URL('./tunnel-origin.js', import.meta.url));
  const origin = await startChild({ command: process.execPath, args: [script, String(originPort)], cwd: folder });
  const chain = await startConnectorChain();
  const ways: TunnelWay[] = [];
  try {
    await waitUntilReady(origin, () => isListening(originPort), READY_TIMEOUT_MS);
    const direct = { name: 'direct', url: `http://127.0.0.1:${originPort}`, fields: [], cloudPids: [], insidePids: [] };
    ways.push({ ...direct, stop: () => Promise.resolve() });
    ways.push(await startSshWay(folder, originPort));
    for (const workers of [1, 2]) ways.push(await startGatewayWay(chain, folder, originPort, workers));
    const haproxy = await explainHaproxy();
    console.log(haproxy);
    const measured = await measureAll(ways, largeFile);
    await Promise.all(ways.splice(0).map((way) => way.stop()));
    const [, peer, ours] = measured;
    if (peer === undefined || ours === undefined) throw new TypeError('nothing was measured');
    const table = toTunnelTable(measured);
    const targets = toTargetTable({ ours, peer, idle: await measureIdleAgents(chain, folder) });
    console.log(`\n${table}\n\n${targets}\n`);
    const facts = [
      `Measured ${new Date().toISOString().slice(0, 10)} by \`npm run bench:tunnel\`.`,
      `Machine: ${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores that all processes share. Node ${process.versions.node}.`,
      `Load: wrk, one thread, ${CASE_SECONDS.many} s a case (c=1: ${CASE_SECONDS.single} s); curl for the large bodies. One round to warm up, then ${ROUND_COUNT} rounds, in turn.`,
      `What else the machine did when it began: a load of ${others.toFixed(1)}.`,
      haproxy,
    ];
    const block = `${table}\n\n${targets}\n\n${facts.map((fact) => `- ${fact}`).join('\n')}`;
    await writeFile(PAGE, placeBlock(await readFile(PAGE, 'utf8'), 'tunnel', block));
  } finally {
    await Promise.all(ways.map((way) => way.stop()));
    await chain.stop();
    await origin.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await run();
