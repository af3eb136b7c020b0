import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { waitUntilReady } from '../test/support/child.ts';
import { createAssertionBodies, DAY_SECRET } from './assertions.ts';
import { registerApp } from './register-app.ts';
import { type BenchServer, type ServerPlan, startPinned } from './server.ts';

/** One line of the table. */
export interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly server: BenchServer;
  /** Bodies for that many requests; the same one may serve them all. */
  createBodies(count: number): readonly string[];
}

/** What the contestants share. */
export interface Surroundings {
  /** For data, keys and logs. */
  readonly folder: string;
  readonly redisUrl: string;
}

const READY_TIMEOUT_MS = 10_000;
const MAIN = resolve('dist', 'main.js');
const NO_LIMIT = { COUNTERSIGN_RATE_LIMIT_PER_MINUTE: '1000000000' };
const toScript = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** As long as the assertions that the others get. */
const ECHO_BODY = createAssertionBodies({ clientId: `cs-${'0'.repeat(36)}`, clientSecret: 'echo' }, 1);
const MINT_BODY = [JSON.stringify({ identity: 'alice@example.com' })];

async function startEcho(name: string, script: string, { folder }: Surroundings): Promise<Contestant> {
  const server = await startPinned({ script: toScript(script), toArgs: (port) => [String(port)] }, folder);
  return { name, url: `${server.url}/`, server, createBodies: () => ECHO_BODY };
}

async function startDay(name: string, way: string, { folder, redisUrl }: Surroundings): Promise<Contestant> {
  const script = toScript('./written-in-a-day.js');
  const server = await startPinned({ script, toArgs: (port) => [String(port), redisUrl, way] }, folder);
  const app = { clientId: 'cs-bench', clientSecret: DAY_SECRET };
  const createBodies = (count: number): readonly string[] => createAssertionBodies(app, count);
  return { name, url: `${server.url}/authorize`, server, createBodies };
}

async function startSample({ folder }: Surroundings): Promise<Contestant> {
  const script = toScript('./sample-token-server.js');
  const server = await startPinned({ script, toArgs: (port) => [String(port)] }, folder);
  const name = 'sample token server: Express 5, jsonwebtoken, HS256';
  return { name, url: `${server.url}/api/users/sts`, server, createBodies: () => MINT_BODY };
}

async function startIssuer(algorithm: 'HS256' | 'RS256', { folder }: Surroundings): Promise<Contestant> {
  const keyFile = join(folder, 'issuer.pem');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const key =
    algorithm === 'HS256'
      ? { COUNTERSIGN_CLIENT_SECRET: randomBytes(32).toString('base64') }
      : { COUNTERSIGN_PRIVATE_KEY_FILE: keyFile };
  const plan: ServerPlan = {
    script: MAIN,
    toArgs: () => ['issuer'],
    toEnvironment: (port) => ({
      ...NO_LIMIT,
      ...key,
      COUNTERSIGN_ISSUER_PORT: String(port),
      COUNTERSIGN_ALGORITHM: algorithm,
      COUNTERSIGN_CLIENT_ID: 'cs-bench',
      COUNTERSIGN_CALLER_AUTH: 'open',
    }),
  };
  const server = await startPinned(plan, folder);
  return { name: `issuer, ${algorithm}`, url: `${server.url}/api/users/sts`, server, createBodies: () => MINT_BODY };
}

async function startIdproxy(store: 'embedded' | 'redis', { folder, redisUrl }: Surroundings): Promise<Contestant> {
  const home = join(folder, store);
  await mkdir(home);
  const adminToken = randomBytes(32).toString('base64url');
  const plan: ServerPlan = {
    script: MAIN,
    toArgs: () => ['idproxy'],
    toEnvironment: (port) => ({
      ...NO_LIMIT,
      COUNTERSIGN_IDPROXY_PORT: String(port),
      COUNTERSIGN_ADMIN_TOKEN: adminToken,
      COUNTERSIGN_DATA_DIR: join(home, 'data'),
      COUNTERSIGN_KEYS_DIR: join(home, 'keys'),
      COUNTERSIGN_STORE: store,
      ...(store === 'redis' && { COUNTERSIGN_REDIS_URL: redisUrl }),
    }),
  };
  const server = await startPinned(plan, home);
  await waitUntilReady(server.child, async () => (await fetch(`${server.url}/readyz`)).ok, READY_TIMEOUT_MS);
  const app = await registerApp(server.url, adminToken);
  const createBodies = (count: number): readonly string[] => createAssertionBodies(app, count);
  return {
    name: `/authorize, HS256 with jti, ${STORE_NAMES[store]}`,
    url: `${server.url}/authorize`,
    server,
    createBodies,
  };
}

const STORE_NAMES = { embedded: 'embedded store', redis: 'Redis' } as const;

/** Everyone who takes part, in the order of the table; the first is what the others are measured against. */
export const STARTERS: readonly ((surroundings: Surroundings) => Promise<Contestant>)[] = [
  (surroundings) => startEcho('node:http, JSON echo', './echo-http.js', surroundings),
  (surroundings) => startEcho('Express 5, JSON echo', './echo-express.js', surroundings),
  (surroundings) =>
    startEcho('Express 5 behind our server factory, JSON echo', './echo-express-classes.js', surroundings),
  (surroundings) => startEcho('createApp, JSON echo, everything on', './echo-create-app.js', surroundings),
  startSample,
  (surroundings) =>
    startDay('in a day: Express 5 with all middleware, jose, Redis', 'all-middleware-jose', surroundings),
  (surroundings) => startDay('in a day: without middleware, jose, Redis', 'jose', surroundings),
  (surroundings) => startDay('in a day: without middleware, jsonwebtoken, Redis', 'jsonwebtoken', surroundings),
  (surroundings) => startIssuer('HS256', surroundings),
  (surroundings) => startIssuer('RS256', surroundings),
  (surroundings) => startIdproxy('embedded', surroundings),
  (surroundings) => startIdproxy('redis', surroundings),
];
