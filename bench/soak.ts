/**
 * Holds many sockets at once: `npm run soak`. Every socket is a user of its own, signed in and started as the published clients
 * do it, who says something now and then and waits for the answer. On both stores in turn, on loopback alone; writes what it
 * saw to docs/performance.md.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { waitUntilReady } from '../test/support/child.ts';
import { createTempFolder, startRedis } from '../test/support/processes.ts';
import { createAssertions } from './assertions.ts';
import { registerApp } from './register-app.ts';
import { placeBlock, toMedian, toQuantile } from './report.ts';
import { CORES } from './load.ts';
import { type BenchServer, pinProcess, readMemoryBytes, startPinned } from './server.ts';
import { openSocket, type SoakSocket } from './soak-socket.ts';

const PAGE = resolve('docs', 'performance.md');
const SOCKET_COUNT = Number(process.env['SOAK_SOCKETS'] ?? 2_000);
/** Sockets that are opened at the same time. */
const OPENING_COUNT = 50;
/** How long the sockets are held, in seconds, and how often each says something. */
const HOLD_SECONDS = Number(process.env['SOAK_SECONDS'] ?? 60);
const MESSAGE_EVERY_SECONDS = 10;
/** Every so many sockets one is dropped in the middle and started again with its old bearer. */
const DROP_EVERY = 10;
/** Before and after each collection of garbage, in milliseconds. */
const SETTLE_MS = 2_000;
const READY_TIMEOUT_MS = 10_000;
const ADMIN_TOKEN = 'admin-token-of-the-soak-0123456789';

interface Outcome {
  readonly store: string;
  readonly openSeconds: number;
  readonly emptyBytes: number;
  readonly heldBytes: number;
  readonly idleBytes: number;
  readonly answers: readonly number[];
  readonly failures: number;
  readonly restarted: number;
}

async function openAll(url: string, assertions: readonly string[]): Promise<SoakSocket[]> {
  const sockets: SoakSocket[] = [];
  for (let from = 0; from < assertions.length; from += OPENING_COUNT) {
    const batch = assertions.slice(from, from + OPENING_COUNT);
    sockets.push(...(await Promise.all(batch.map((assertion) => openSocket(url, assertion)))));
  }
  return sockets;
}

/** Everyone speaks at a moment of their own within the interval; in the middle some lose their connection. */
async function talk(sockets: readonly SoakSocket[]): Promise<Pick<Outcome, 'answers' | 'failures' | 'restarted'>> {
  const answers: number[] = [];
  let failures = 0;
  let restarted = 0;
  const rounds = Math.max(1, Math.floor(HOLD_SECONDS / MESSAGE_EVERY_SECONDS));
  const live = async (socket: SoakSocket, index: number): Promise<void> => {
    await sleep((index / sockets.length) * MESSAGE_EVERY_SECONDS * 1000);
    for (let round = 0; round < rounds; round += 1) {
      const startedAt = performance.now();
      try {
        await socket.say(`message ${round} of socket ${index}`);
        answers.push(performance.now() - startedAt);
        if (round === Math.floor(rounds / 2) && index % DROP_EVERY === 0) {
          await socket.restart();
          restarted += 1;
        }
      } catch (error) {
        failures += 1;
        console.error(`socket ${index}: ${String(error)}`);
      }
      if (round + 1 < rounds) await sleep(Math.max(0, MESSAGE_EVERY_SECONDS * 1000 - (performance.now() - startedAt)));
    }
  };
  await Promise.all(sockets.map(live));
  return { answers, failures, restarted };
}

/** Twice: what the first collection finalizes, the second one frees. */
async function readSettledMemory({ child }: BenchServer): Promise<number> {
  for (let time = 0; time < 2; time += 1) {
    await sleep(SETTLE_MS);
    child.signal('SIGUSR2');
  }
  await sleep(SETTLE_MS);
  return readMemoryBytes(child.pid);
}

async function soak(store: string, folder: string, environment: Readonly<Record<string, string>>): Promise<Outcome> {
  const server: BenchServer = await startPinned(
    {
      script: resolve('dist', 'main.js'),
      nodeArgs: ['--expose-gc', '--import', new URL('./collect-on-signal.js', import.meta.url).href],
      toArgs: () => ['idproxy'],
      toEnvironment: (port) => ({
        COUNTERSIGN_IDPROXY_PORT: String(port),
        COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
        COUNTERSIGN_BOT: 'echo',
        COUNTERSIGN_RATE_LIMIT_PER_MINUTE: '1000000',
        COUNTERSIGN_SOCKETS_PER_ADDRESS: '5000',
        COUNTERSIGN_DATA_DIR: join(folder, store, 'data'),
        COUNTERSIGN_KEYS_DIR: join(folder, store, 'keys'),
        ...environment,
      }),
    },
    folder,
  );
  let sockets: SoakSocket[] = [];
  try {
    await waitUntilReady(server.child, async () => (await fetch(`${server.url}/readyz`)).ok, READY_TIMEOUT_MS);
    const app = await registerApp(server.url, ADMIN_TOKEN);
    const warm = await openAll(
      server.url,
      createAssertions(app, OPENING_COUNT, { name: 'warm-up', count: OPENING_COUNT }),
    );
    await talk(warm.slice(0, 1));
    for (const socket of warm) socket.close();
    const emptyBytes = await readSettledMemory(server);
    const startedAt = performance.now();
    sockets = await openAll(server.url, createAssertions(app, SOCKET_COUNT, { name: 'user', count: SOCKET_COUNT }));
    const openSeconds = (performance.now() - startedAt) / 1000;
    const idleBytes = await readSettledMemory(server);
    const talked = await talk(sockets);
    const heldBytes = await readSettledMemory(server);
    const closed = sockets.filter((socket) => !socket.isOpen()).length;
    return { store, openSeconds, emptyBytes, idleBytes, heldBytes, ...talked, failures: talked.failures + closed };
  } finally {
    for (const socket of sockets) socket.close();
    await server.child.stop();
  }
}

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
    SOCKET_COUNT.toLocaleString('en-US'),
    openSeconds.toFixed(1),
    toMiB(emptyBytes),
    toMiB(idleBytes),
    toMiB(heldBytes),
    toKiB((idleBytes - emptyBytes) / SOCKET_COUNT),
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
      await soak('embedded', folder, {}),
      await soak('redis', folder, { COUNTERSIGN_REDIS_URL: redis.url }),
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
      `${HOLD_SECONDS} s; each socket says something every ${MESSAGE_EVERY_SECONDS} s; every ${DROP_EVERY}th is dropped once and started again.`,
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
