import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { waitUntilReady } from '../test/support/child.ts';
import { createAssertions } from './assertions.ts';
import { registerApp } from './register-app.ts';
import { type BenchServer, readMemoryBytes, startPinned } from './server.ts';
import { openSocket, type SoakSocket } from './soak-socket.ts';

/** Sockets that are opened at the same time. */
const OPENING_COUNT = 50;
/** Every so many sockets one is dropped in the middle and started again with its old bearer. */
export const DROP_EVERY = 10;
const READY_TIMEOUT_MS = 10_000;
const ADMIN_TOKEN = 'admin-token-of-the-soak-0123456789';

/** How much is asked of a server. */
export interface SoakPlan {
  readonly socketCount: number;
  /** How long the sockets are held, and how often each says something. */
  readonly holdSeconds: number;
  readonly messageEverySeconds: number;
  /** Before and after each collection of garbage, in milliseconds. */
  readonly settleMs: number;
}

/** What was seen. */
export interface Outcome {
  readonly store: string;
  readonly openSeconds: number;
  readonly emptyBytes: number;
  readonly heldBytes: number;
  readonly idleBytes: number;
  /** How long each answer took, in milliseconds. */
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
async function talk(
  sockets: readonly SoakSocket[],
  { holdSeconds, messageEverySeconds }: SoakPlan,
): Promise<Pick<Outcome, 'answers' | 'failures' | 'restarted'>> {
  const answers: number[] = [];
  let failures = 0;
  let restarted = 0;
  const rounds = Math.max(1, Math.floor(holdSeconds / messageEverySeconds));
  const live = async (socket: SoakSocket, index: number): Promise<void> => {
    await sleep((index / sockets.length) * messageEverySeconds * 1000);
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
      if (round + 1 < rounds) await sleep(Math.max(0, messageEverySeconds * 1000 - (performance.now() - startedAt)));
    }
  };
  await Promise.all(sockets.map(live));
  return { answers, failures, restarted };
}

/** Twice: what the first collection finalizes, the second one frees. */
async function readSettledMemory({ child }: BenchServer, { settleMs }: SoakPlan): Promise<number> {
  for (let time = 0; time < 2; time += 1) {
    await sleep(settleMs);
    child.signal('SIGUSR2');
  }
  await sleep(settleMs);
  return readMemoryBytes(child.pid);
}

/** Holds so many sockets on a server of its own, from `dist/`, whose files are in `folder`. */
export async function soak(
  store: string,
  folder: string,
  environment: Readonly<Record<string, string>>,
  plan: SoakPlan,
): Promise<Outcome> {
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
    await talk(warm.slice(0, 1), plan);
    for (const socket of warm) socket.close();
    const emptyBytes = await readSettledMemory(server, plan);
    const startedAt = performance.now();
    sockets = await openAll(
      server.url,
      createAssertions(app, plan.socketCount, { name: 'user', count: plan.socketCount }),
    );
    const openSeconds = (performance.now() - startedAt) / 1000;
    const idleBytes = await readSettledMemory(server, plan);
    const talked = await talk(sockets, plan);
    const heldBytes = await readSettledMemory(server, plan);
    const closed = sockets.filter((socket) => !socket.isOpen()).length;
    return { store, openSeconds, emptyBytes, idleBytes, heldBytes, ...talked, failures: talked.failures + closed };
  } finally {
    for (const socket of sockets) socket.close();
    await server.child.stop();
  }
}
