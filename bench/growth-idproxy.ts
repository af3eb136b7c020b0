import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

import { Redis } from 'ioredis';

import { DATABASE_FILE } from '../src/stores/create-store.ts';
import { type RedisProcess, startRedis } from '../test/support/processes.ts';
import { createAssertions } from './assertions.ts';
import { JSON_FIELDS, toAssertionBody } from './bodies.ts';
import type { Store } from './contestant.ts';
import { openEmbeddedRecords } from './growth-embedded-records.ts';
import type { GrowthOptions } from './growth-options.ts';
import type { LiveRecords } from './growth-records.ts';
import { openRedisRecords } from './growth-redis.ts';
import { createIdproxyHome, EXCHANGES_PER_MINUTE, type IdproxyHome, startIdproxyServer } from './idproxy-home.ts';
import { type RegisteredApp, registerApp } from './register-app.ts';
import { type BenchServer, pinProcess } from './server.ts';

/** Exchanges that are under way at the same time while the first ones are made. */
const AT_ONCE = 50;

/** An idproxy with a store of its own. */
export interface GrowthIdproxy {
  readonly store: Store;
  readonly folder: string;
  readonly home: IdproxyHome;
  /** Another one after `startServer`. */
  readonly server: BenchServer;
  readonly redis?: RedisProcess;
  /** Of the Redis, for whoever wants to know something of it. */
  readonly client?: Redis;
  /** Bodies that are accepted once. */
  createBodies(count: number): readonly string[];
  /** Exchanges so many assertions, and not for measuring. @throws Error where one is refused */
  exchange(count: number): Promise<void>;
  /** What has been exchanged; not before the first exchange. */
  openRecords(): Promise<LiveRecords>;
  /** Stops the server, not the Redis. */
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  stop(): Promise<void>;
}

async function exchangeAll(url: string, bodies: readonly string[]): Promise<void> {
  for (let from = 0; from < bodies.length; from += AT_ONCE) {
    const answers = bodies.slice(from, from + AT_ONCE).map(async (body) => {
      const answer = await fetch(`${url}/authorize`, { method: 'POST', headers: JSON_FIELDS, body });
      await answer.arrayBuffer();
      return answer.status;
    });
    const refused = (await Promise.all(answers)).find((status) => status !== 200);
    if (refused !== undefined) throw new Error(`an exchange was refused: ${refused}`);
  }
}

/** Starts `countersign idproxy` with a home, and where the store is Redis with a Redis of its own. @param redisCores - as `taskset` takes them */
export async function startGrowthIdproxy(
  store: Store,
  { folder: parent, cores }: Pick<GrowthOptions, 'folder' | 'cores'>,
  redisCores = cores.load,
): Promise<GrowthIdproxy> {
  const folder = join(await mkdtemp(join(parent, `${store}-`)), 'home');
  const redis = store === 'redis' ? await startRedis() : undefined;
  if (redis) await pinProcess(redis.pid, redisCores);
  const client = redis && new Redis(redis.url);
  const home = await createIdproxyHome(store, folder, redis?.url ?? '');
  const start = (): Promise<BenchServer> => startIdproxyServer(folder, home, cores.server);
  let server = await start();
  const app: RegisteredApp = await registerApp(server.url, home.adminToken, {
    exchangesPerMinute: EXCHANGES_PER_MINUTE,
  });
  const createBodies = (count: number): string[] => createAssertions(app, count).map(toAssertionBody);
  return {
    store,
    folder,
    home,
    get server() {
      return server;
    },
    ...(redis && { redis }),
    ...(client && { client }),
    createBodies,
    exchange: (count) => exchangeAll(server.url, createBodies(count)),
    openRecords: async () =>
      client ? openRedisRecords(client) : openEmbeddedRecords(join(home.dataFolder, DATABASE_FILE)),
    stopServer: async () => void (await server.child.stop()),
    startServer: async () => {
      server = await start();
    },
    stop: async () => {
      await server.child.stop();
      client?.disconnect();
      await redis?.stop();
    },
  };
}
