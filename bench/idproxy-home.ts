import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { waitUntilReady } from '../test/support/child.ts';
import type { Store } from './contestant.ts';
import { type BenchServer, NO_LIMIT, startPinned } from './server.ts';

const READY_TIMEOUT_MS = 10_000;
/** Of each app: a limit that is counted and never met. */
export const EXCHANGES_PER_MINUTE = 10_000_000;

/** What an idproxy keeps, and who may ask it. */
export interface IdproxyHome {
  readonly adminToken: string;
  /** Of a resource server that asks what a bearer stands for. */
  readonly callerKey: string;
  readonly dataFolder: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes a folder with all that an idproxy on that store needs. @param redisUrl - not used by the embedded store */
export async function createIdproxyHome(store: Store, folder: string, redisUrl: string): Promise<IdproxyHome> {
  await mkdir(folder);
  const [adminToken, callerKey] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')];
  const keysFile = join(folder, 'callers');
  await writeFile(keysFile, `bench:${createHash('sha256').update(callerKey).digest('hex')}\n`);
  const dataFolder = join(folder, 'data');
  const environment = {
    ...NO_LIMIT,
    COUNTERSIGN_ADMIN_TOKEN: adminToken,
    COUNTERSIGN_INTROSPECTION_KEYS_FILE: keysFile,
    COUNTERSIGN_DATA_DIR: dataFolder,
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    COUNTERSIGN_STORE: store,
    ...(store === 'redis' && { COUNTERSIGN_REDIS_URL: redisUrl }),
  };
  return { adminToken, callerKey, dataFolder, environment };
}

/** Starts `countersign idproxy` as it ships on that home, and waits until it is ready. @param core - the server's core where left out */
export async function startIdproxyServer(
  folder: string,
  { environment }: IdproxyHome,
  core?: string,
): Promise<BenchServer> {
  const server = await startPinned(
    {
      script: resolve('dist', 'main.js'),
      toArgs: () => ['idproxy'],
      toEnvironment: (port) => ({ ...environment, COUNTERSIGN_IDPROXY_PORT: String(port) }),
      ...(core !== undefined && { core }),
    },
    folder,
  );
  await waitUntilReady(server.child, async () => (await fetch(`${server.url}/readyz`)).ok, READY_TIMEOUT_MS);
  return server;
}
