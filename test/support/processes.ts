import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startChild, waitUntilReady, type Child, type Exit } from './child.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 30_000;
/** Below the range from which the system takes the ports of outgoing connections, so that none of them is in the way. */
const PORTS = { from: 15_000, to: 32_000 } as const;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const bound = new Promise<boolean>((done) => {
    server.once('error', () => done(false));
    server.listen(port, HOST, () => done(true));
  });
  const free = await bound;
  if (free) await new Promise((done) => server.close(done));
  return free;
}

/** A port on which nobody listens now. */
export async function getFreePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
}

/** A new empty folder for a test. Whoever asks for it removes it. */
export function createTempFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'countersign-test-'));
}

/** Whether a Redis answers PONG on that port. */
async function isRedisReady(port: number): Promise<boolean> {
  const socket = connect({ port, host: HOST }).setTimeout(1_000);
  try {
    socket.once('timeout', () => socket.destroy(new Error('no answer')));
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString().startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A real Redis of one test. */
export interface RedisProcess {
  readonly url: string;
  readonly port: number;
  /** The current process's id: another one after `restart`. */
  readonly pid: number;
  /** Stops the process in its tracks (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void;
  resume(): void;
  /** Kills it as a power cut would; `restart` brings it back. */
  kill(): Promise<void>;
  /** Ends it in good order if it runs, and starts it again on the same port and folder. */
  restart(): Promise<void>;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

/**
 * Starts a `redis-server` on a free port in a folder of its own, without persistence unless `args` ask for it, and
 * waits until it answers.
 */
export async function startRedis({ args = [] }: { readonly args?: readonly string[] } = {}): Promise<RedisProcess> {
  const folder = await createTempFolder();
  const port = await getFreePort();
  const launch = async (): Promise<Child> => {
    const fixed = ['--bind', HOST, '--port', String(port), '--dir', folder, '--daemonize', 'no'];
    const volatile = ['--save', '', '--appendonly', 'no'];
    const child = await startChild({ command: 'redis-server', args: [...fixed, ...volatile, ...args], cwd: folder });
    await waitUntilReady(child, () => isRedisReady(port), READY_TIMEOUT_MS);
    return child;
  };
  let child = await launch();
  return {
    url: `redis://${HOST}:${port}`,
    port,
    get pid() {
      return child.pid;
    },
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    kill: async () => void (await child.kill()),
    restart: async () => {
      await child.stop();
      child = await launch();
    },
    stop: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Part = 'issuer' | 'idproxy';

/** A running `countersign start`, `issuer` or `idproxy`. */
export interface CountersignProcess extends Pick<Child, 'pid' | 'exited' | 'stdout' | 'stderr' | 'signal'> {
  readonly issuerPort: number;
  readonly idproxyPort: number;
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  readonly dataDir: string;
  readonly keysDir: string;
  /** SIGTERM, then waits for the end. Removes the folders that were made for this process. */
  stop(): Promise<Exit>;
  /** SIGKILL. Removes nothing, so that another process can be started on the same folders. */
  kill(): Promise<Exit>;
}

/** Whether `/healthz` answers 200 there. */
async function isHealthy(url: string): Promise<boolean> {
  if (!URL.canParse(url)) return false;
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  const options = { agent: false, timeout: 2_000, rejectUnauthorized: false };
  return new Promise((done) => {
    const request = send(`${url}/healthz`, options, (response) => {
      response.resume();
      response.once('close', () => done(response.statusCode === 200));
    });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', () => done(false));
    request.end();
  });
}

type Environment = Readonly<Record<string, string>>;

const MAIN = resolve('dist', 'main.js');

/** Fills what `env` leaves open: folders below `folder`, free ports, loopback. */
async function completeEnvironment(env: Environment, folder: string): Promise<Environment> {
  return {
    COUNTERSIGN_HOST: HOST,
    COUNTERSIGN_DATA_DIR: join(folder, 'data'),
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    COUNTERSIGN_ISSUER_PORT: String(await getFreePort()),
    COUNTERSIGN_IDPROXY_PORT: String(await getFreePort()),
    ...env,
  };
}

/**
 * Runs `countersign <args>` from `dist/`, with `PATH` and `env` as its whole environment, and waits until each of its
 * parts answers.
 *
 * @throws with what the process printed when it ends before that
 */
export async function startCountersign(args: readonly string[], env: Environment = {}): Promise<CountersignProcess> {
  const folder = await createTempFolder();
  const all = await completeEnvironment(env, folder);
  const issuerPort = Number(all['COUNTERSIGN_ISSUER_PORT']);
  const idproxyPort = Number(all['COUNTERSIGN_IDPROXY_PORT']);
  const scheme = 'COUNTERSIGN_TLS_CERT_FILE' in all ? 'https' : 'http';
  const urls: Record<Part, string> = {
    issuer: `${scheme}://${HOST}:${issuerPort}`,
    idproxy: `${scheme}://${HOST}:${idproxyPort}`,
  };
  const awaited = args[0] === 'issuer' || args[0] === 'idproxy' ? [urls[args[0]]] : Object.values(urls);
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });

  const child = await startChild({ command: process.execPath, args: [MAIN, ...args], cwd: folder, env: all });
  try {
    await waitUntilReady(
      child,
      async () => (await Promise.all(awaited.map(isHealthy))).every(Boolean),
      READY_TIMEOUT_MS,
    );
  } catch (error) {
    await removeFolder();
    throw error;
  }
  return {
    pid: child.pid,
    exited: child.exited,
    stdout: child.stdout,
    stderr: child.stderr,
    signal: child.signal,
    issuerPort,
    idproxyPort,
    issuerUrl: urls.issuer,
    idproxyUrl: urls.idproxy,
    dataDir: all['COUNTERSIGN_DATA_DIR'] ?? '',
    keysDir: all['COUNTERSIGN_KEYS_DIR'] ?? '',
    kill: child.kill,
    stop: async () => {
      const exit = await child.stop();
      await removeFolder();
      return exit;
    },
  };
}

/** What a finished command left behind. */
export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `countersign <args>` to its end, `env` and `PATH` being its whole environment; one that hangs is killed. */
export async function runCountersign(args: readonly string[], env: Environment = {}, input = ''): Promise<Finished> {
  const folder = await createTempFolder();
  try {
    const all = await completeEnvironment(env, folder);
    const child = await startChild({ command: process.execPath, args: [MAIN, ...args], cwd: folder, env: all, input });
    const timer = setTimeout(() => child.signal('SIGKILL'), READY_TIMEOUT_MS);
    const exit = await child.exited;
    clearTimeout(timer);
    return { ...exit, stdout: child.stdout(), stderr: child.stderr() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
