import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

import { type Child, startChild, waitUntilReady } from './child.ts';
import { type CountersignProcess, createTempFolder, getFreePort, startCountersign } from './processes.ts';

const run = promisify(execFile);

const HOST = '127.0.0.1';
const ADMIN_TOKEN = 'admin-token-of-connector-tests-0123456789';
const MAIN = resolve('dist', 'main.js');
const READY_TIMEOUT_MS = 30_000;

/** A running gateway. */
export interface GatewayProcess extends Child {
  readonly callerUrl: string;
  readonly callerPort: number;
  readonly agentPort: number;
  /** Where agents reach it. */
  readonly agentUrl: string;
}

/** What a test may set of a gateway. */
export interface GatewayOptions {
  readonly callerPort?: number;
  readonly agentPort?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A registered connector with a certificate, ready to be installed as often as a test wants. */
export interface Connector {
  readonly id: string;
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

/** What an installation is made with. */
export interface AgentOptions {
  /** The mappings of `accesscontrol.json`. */
  readonly mappings: readonly object[];
  readonly gatewayUrls: readonly string[];
  /** Members of `connectorconfig.json` beside the seed's. */
  readonly config?: object;
}

/** An installed agent. */
export interface Installation {
  readonly folder: string;
  setMappings(mappings: readonly object[]): Promise<void>;
  /** Starts it in the foreground, and waits until it is connected unless told otherwise. */
  start(options?: { readonly isConnected?: boolean; readonly env?: Readonly<Record<string, string>> }): Promise<Child>;
}

/** An idproxy with the admin API, and whatever of the chain a test starts around it. */
export interface ConnectorChain {
  readonly env: Readonly<Record<string, string>>;
  /** Calls the admin API. @throws where the status is another than `expected` */
  admin<T = Record<string, unknown>>(method: string, path: string, body?: object, expected?: number): Promise<T>;
  startGateway(options?: GatewayOptions): Promise<GatewayProcess>;
  addConnector(options?: { readonly isEnabled?: boolean; readonly company?: string }): Promise<Connector>;
  /** @returns the token */
  addCaller(connectors?: readonly string[]): Promise<string>;
  install(connector: Connector, options: AgentOptions): Promise<Installation>;
  /** Waits until a connector's status is so. */
  waitForInstances(connectorId: string, count: number): Promise<void>;
  stop(): Promise<void>;
}

const isHealthy = async (url: string): Promise<boolean> => {
  try {
    return (await fetch(`${url}/healthz`)).status === 200;
  } catch {
    return false;
  }
};

/** Waits until something holds. @throws with `what` when it does not in time */
export async function waitUntil(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `waited ${timeoutMs} ms in vain: ${what}`);
    await wait(25);
  }
}

/** Starts an idproxy, on the embedded store unless `env` names a Redis. Whoever starts it stops it. */
export async function startConnectorChain(given: Readonly<Record<string, string>> = {}): Promise<ConnectorChain> {
  const folder = await createTempFolder();
  const env = {
    COUNTERSIGN_HOST: HOST,
    COUNTERSIGN_DATA_DIR: join(folder, 'data'),
    COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    ...given,
  };
  const idproxy: CountersignProcess = await startCountersign(['idproxy'], env);
  const children: Child[] = [];
  let count = 0;

  const call = async (method: string, path: string, body?: object): Promise<Response> =>
    fetch(`${idproxy.idproxyUrl}/admin${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const admin: ConnectorChain['admin'] = async <T>(method: string, path: string, body?: object, expected?: number) => {
    const answer = await call(method, path, body);
    const text = await answer.text();
    const isFine = expected === undefined ? answer.ok : answer.status === expected;
    assert.ok(isFine, `${method} ${path}: ${answer.status} ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  };

  return {
    env,
    admin,
    startGateway: async ({ callerPort, agentPort, env: more = {} } = {}) => {
      const ports = { caller: callerPort ?? (await getFreePort()), agent: agentPort ?? (await getFreePort()) };
      const child = await startChild({
        command: process.execPath,
        args: [MAIN, 'gateway'],
        cwd: folder,
        env: {
          ...env,
          COUNTERSIGN_GATEWAY_CALLER_PORT: String(ports.caller),
          COUNTERSIGN_GATEWAY_AGENT_PORT: String(ports.agent),
          ...more,
        },
      });
      children.push(child);
      const isTls = more['COUNTERSIGN_TLS_CERT_FILE'] !== undefined;
      const callerUrl = `${isTls ? 'https' : 'http'}://${HOST}:${ports.caller}`;
      // Its authority is known to the test alone.
      const hasSaidSo = (): Promise<boolean> => Promise.resolve(child.stdout().includes('"gateway listens"'));
      await waitUntilReady(child, isTls ? hasSaidSo : () => isHealthy(callerUrl), READY_TIMEOUT_MS);
      const agentUrl = `https://localhost:${ports.agent}`;
      return { ...child, callerUrl, callerPort: ports.caller, agentPort: ports.agent, agentUrl };
    },
    addConnector: async ({ isEnabled = true, company } = {}) => {
      const work = join(folder, `connector-${(count += 1)}`);
      await mkdir(work);
      const { id, opensslCommand } = await admin<{ id: string; opensslCommand: string }>('POST', '/connectors', {
        name: `connector ${count}`,
        ...(company && { company }),
      });
      await run('sh', ['-c', opensslCommand], { cwd: work });
      const csr = await readFile(join(work, 'Kore.aiConnector.csr'), 'utf8');
      const { certificate } = await admin<{ certificate: string }>('POST', `/connectors/${id}/certificate`, { csr });
      if (isEnabled) await admin('POST', `/connectors/${id}/enable`);
      return { id, key: await readFile(join(work, 'Kore.aiConnector.key'), 'utf8'), cert: certificate };
    },
    addCaller: async (connectors) => {
      const { token } = await admin<{ token: string }>('POST', '/callers', {
        name: `caller ${(count += 1)}`,
        ...(connectors && { connectors }),
      });
      return token;
    },
    install: async (connector, { mappings, gatewayUrls, config = {} }) => {
      const work = join(folder, `agent-${(count += 1)}`);
      await mkdir(work);
      const answer = await call('GET', `/connectors/${connector.id}/package?os=linux`);
      assert.equal(answer.status, 200, 'the package');
      await writeFile(join(work, 'package.tar.gz'), Buffer.from(await answer.arrayBuffer()));
      await run('tar', ['xzf', 'package.tar.gz'], { cwd: work });
      const home = join(work, 'kore-connector');
      const configFile = join(home, 'config', 'connectorconfig.json');
      const defaults = JSON.parse(await readFile(configFile, 'utf8')) as object;
      const setMappings = (next: readonly object[]): Promise<void> =>
        writeFile(join(home, 'config', 'configs', 'accesscontrol.json'), JSON.stringify(next, null, 2));
      await Promise.all([
        writeFile(configFile, JSON.stringify({ ...defaults, gateway: { urls: gatewayUrls }, ...config }, null, 2)),
        setMappings(mappings),
        writeFile(join(home, 'credentials', 'Kore.aiConnector.key'), connector.key, { mode: 0o600 }),
        writeFile(join(home, 'credentials', 'Kore.aiConnectorCert.pem'), connector.cert),
      ]);
      return {
        folder: home,
        setMappings,
        start: async ({ isConnected = true, env: more = {} } = {}) => {
          const args = [join(home, 'lib', 'kore-connector.js'), 'run'];
          const child = await startChild({ command: process.execPath, args, cwd: '/', env: more });
          children.push(child);
          if (isConnected) {
            const isReady = async (): Promise<boolean> => (await readLog(home)).includes('"connected to the gateway"');
            await waitUntilReady(child, isReady, READY_TIMEOUT_MS);
          }
          return child;
        },
      };
    },
    waitForInstances: (connectorId, wanted) =>
      waitUntil(`${wanted} instances of ${connectorId}`, async () => {
        const { instances } = await admin<{ instances: unknown[] }>('GET', `/connectors/${connectorId}`);
        return instances.length === wanted;
      }),
    stop: async () => {
      await Promise.all(children.map((child) => child.stop()));
      await idproxy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** All that an installed agent has logged. */
export async function readLog(home: string, kind: 'logs' | 'audits' = 'logs'): Promise<string> {
  try {
    const { stdout } = await run('sh', ['-c', `cat ${kind}/*`], { cwd: home, maxBuffer: 1 << 30 });
    return stdout;
  } catch {
    return '';
  }
}
