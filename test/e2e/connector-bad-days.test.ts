import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

import { systemClock } from '../../src/core/clock.ts';
import { createAuthority } from '../../src/gateway/certificates/authority.ts';
import { createStore } from '../../src/stores/create-store.ts';
import { createConnection } from '../../src/tunnel/connection.ts';
import { PROTOCOL } from '../../src/tunnel/limits.ts';
import type { Closed } from '../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../src/tunnel/receive-window.ts';
import { loadVault } from '../../src/vault/master-key.ts';
import { createCertificateAuthority } from '../support/certificate-authority.ts';
import { startBlackHole } from '../support/black-hole.ts';
import type { Child } from '../support/child.ts';
import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  type Installation,
  readLog,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { connectRaw, type RawClient } from '../support/raw-client.ts';
import { createTempFolder } from '../support/processes.ts';
import { startTestOrigin, type TestOrigin } from '../support/test-origin.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';
/** A peer that is silent is known to be dead after this time. */
const DETECTION_MS = 20_000;
const CALM_MS = 40_000;
const YEAR_SECONDS = 31_536_000;

let chain: ConnectorChain;
let origin: TestOrigin;
let gateway: GatewayProcess;
let token = '';

before(async () => {
  [chain, origin] = await Promise.all([startConnectorChain(), startTestOrigin()]);
  gateway = await chain.startGateway();
  token = await chain.addCaller();
});
after(async () => {
  await Promise.all([chain.stop(), origin.stop()]);
});
/** Connectors by their virtual hosts. A caller that may use several has to name one. */
const connectorIds = new Map<string, string>();

/** A connector of a company of its own, with a virtual host of its own. */
async function addConnector(): Promise<Connector & { readonly host: string; readonly mapping: object }> {
  const name = `c${connectorIds.size + 1}`;
  connectorIds.set(`${name}.virtual`, '');
  const connector = await chain.addConnector({ company: name });
  const host = `${name}.virtual`;
  connectorIds.set(host, connector.id);
  const mapping = {
    virtualhost: host,
    virtualport: 80,
    internalhost: HOST,
    internalport: origin.port,
    protocol: 'http',
    allowedPaths: '/*',
  };
  return { ...connector, host, mapping };
}

async function install(
  connector: Awaited<ReturnType<typeof addConnector>>,
  config: object = {},
  gatewayUrl = gateway.agentUrl,
): Promise<Installation> {
  return chain.install(connector, {
    gatewayUrls: [gatewayUrl],
    mappings: [connector.mapping],
    config: { cluster: { enabled: false }, ...config },
  });
}

/** Starts an agent that ends with the test. */
async function start(t: TestContext, installation: Installation): Promise<Child> {
  const child = await installation.start();
  t.after(() => child.kill());
  return child;
}

/** Sends one request on a connection that closes behind it. */
async function send(method: string, host: string, path: string, body = ''): Promise<RawClient> {
  const client = await connectRaw(gateway.callerPort);
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  client.send(
    `${method} http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Bearer ${token}\r\n` +
      `X-Connector: ${connectorIds.get(host)}\r\n${length}Connection: close\r\n\r\n${body}`,
  );
  return client;
}

const ask = async (method: string, host: string, path: string, body = ''): Promise<number> =>
  Number(/^HTTP\/1\.1 (\d{3}) /.exec(await (await send(method, host, path, body)).waitForEnd())?.[1] ?? 0);

const waitForStatus = (host: string, status: number, path = '/show'): Promise<void> =>
  waitUntil(`${status} of ${host}`, async () => (await ask('GET', host, path)) === status, CALM_MS);

const countTargets = (path: string): number => origin.targets.filter((target) => target === path).length;

/** A certificate of this platform's own authority, of a year ago. */
async function signInThePast({ id, key }: Connector): Promise<string> {
  const { COUNTERSIGN_DATA_DIR: dataDir = '', COUNTERSIGN_KEYS_DIR: keysDir = '' } = chain.env;
  const { vault } = await loadVault(keysDir);
  const store = createStore({ kind: 'embedded', dataDir }, systemClock, () => undefined);
  const folder = await createTempFolder();
  try {
    await writeFile(join(folder, 'key'), key);
    await run('openssl', ['req', '-new', '-key', 'key', '-out', 'csr', '-subj', `/CN=${id}`], { cwd: folder });
    const clock = { ...systemClock, nowSeconds: () => systemClock.nowSeconds() - YEAR_SECONDS };
    const authority = await createAuthority({ documents: store.documents, vault, clock })();
    const csr = await readFile(join(folder, 'csr'), 'utf8');
    return (await authority.sign(csr, { connectorId: id, company: 'default' })).certificate;
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

describe('the agent port', () => {
  let ours: Awaited<ReturnType<typeof addConnector>>;
  let other: Awaited<ReturnType<typeof addConnector>>;
  let ca = '';

  before(async () => {
    [ours, other] = await Promise.all([addConnector(), addConnector()]);
    const { folder } = await install(ours);
    ca = await readFile(join(folder, 'credentials', 'ca.crt'), 'utf8');
  });

  const dial = ({ key, cert }: { key?: string; cert?: string }, protocol: string = PROTOCOL): TLSSocket =>
    connectTls({
      host: HOST,
      port: gateway.agentPort,
      servername: 'localhost',
      ca,
      ALPNProtocols: [protocol],
      ...(key !== undefined && { key }),
      ...(cert !== undefined && { cert }),
    });

  /** Says HELLO as the connector `id`. @returns why it was closed, or `connected` */
  const sayHello = (socket: TLSSocket, id: string): Promise<Closed['code'] | 'connected'> =>
    new Promise((resolve) => {
      const connection = createConnection({
        role: 'agent',
        socket,
        budget: createBufferBudget(),
        handlers: {
          onHello: () => {
            resolve('connected');
            connection.close('drain', 'enough');
          },
          onStream: () => undefined,
          onClose: ({ code }) => resolve(code),
        },
      });
      connection.welcome({ id, instance: 'test', worker: 1, version: '0', hostname: 'test' });
    });

  type Shown = { key?: string; cert?: string };
  const PEERS: Readonly<Record<string, readonly [shown: () => Shown | Promise<Shown>, end: string]>> = {
    'its certificate': [() => ours, 'connected'],
    'no certificate': [() => ({}), 'lost'],
    'a certificate of another connector': [() => other, 'unauthorized'],
    'a certificate that has expired': [async () => ({ key: ours.key, cert: await signInThePast(ours) }), 'lost'],
    'a certificate that another authority signed': [
      async () => {
        const authority = await createCertificateAuthority('Another CA');
        const issued = await authority.issue({
          commonName: ours.id,
          names: `URI:urn:countersign:connector:${ours.id}`,
        });
        await authority.remove();
        return issued;
      },
      'lost',
    ],
    'a certificate that signed itself': [
      async () => {
        const authority = await createCertificateAuthority(ours.id);
        await authority.remove();
        return authority;
      },
      'lost',
    ],
  };
  for (const [name, [shown, end]] of Object.entries(PEERS)) {
    it(`${end === 'connected' ? 'takes' : 'refuses'} an agent with ${name}`, async () => {
      assert.equal(await sayHello(dial(await shown()), ours.id), end);
    });
  }

  it('refuses another protocol', async () => {
    const socket = dial(ours, 'h2');
    const [error] = await new Promise<[NodeJS.ErrnoException]>((resolve) => {
      socket.once('error', (given) => resolve([given]));
    });
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
  });

  it('cuts off a certificate that is revoked, and takes another one of the same connector', async (t) => {
    const agent = await install(ours);
    await start(t, agent);
    await waitForStatus(ours.host, 200);
    const { certificates } = await chain.admin<{ certificates: { serial: string }[] }>('GET', `/connectors/${ours.id}`);
    const [{ serial } = { serial: '' }] = certificates;
    await chain.admin('POST', `/connectors/${ours.id}/certificates/${serial}/revoke`);
    await waitUntil('the agent is told', async () => (await readLog(agent.folder)).includes('"unauthorized"'));
    assert.equal(await ask('GET', ours.host, '/show'), 503);
    assert.equal(await sayHello(dial(ours), ours.id), 'unauthorized');

    const { key } = ours;
    const work = join(agent.folder, 'credentials');
    await run(
      'openssl',
      ['req', '-new', '-key', 'Kore.aiConnector.key', '-out', 'new.csr', '-subj', `/CN=${ours.id}`],
      {
        cwd: work,
      },
    );
    const csr = await readFile(join(work, 'new.csr'), 'utf8');
    const { certificate } = await chain.admin<{ certificate: string }>('POST', `/connectors/${ours.id}/certificate`, {
      csr,
    });
    assert.equal(await sayHello(dial({ key, cert: certificate }), ours.id), 'connected');
  });
});

describe('an agent that ends in the middle of a request', () => {
  const CASES: Readonly<Record<string, readonly [method: string, body: string, status: number, sent: number]>> = {
    'GET: it is repeated on another one': ['GET', '', 200, 2],
    'POST: it is not repeated': ['POST', 'order', 502, 1],
    'POST without a body: it is not repeated': ['POST', '', 502, 1],
    'PUT with a body: it is not repeated': ['PUT', 'order', 502, 1],
  };
  for (const [name, [method, body, status, sent]] of Object.entries(CASES)) {
    it(name, async (t) => {
      const connector = await addConnector();
      const path = `/killed/${method}/${body.length}`;
      let isFirst = true;
      origin.on(path, (_, res) => {
        if (!isFirst) res.end('done');
        isFirst = false;
      });
      const first = await start(t, await install(connector));
      await waitForStatus(connector.host, 200);
      const client = await send(method, connector.host, path, body);
      await waitUntil('the application has it', () => countTargets(path) === 1);
      await start(t, await install(connector));
      await chain.waitForInstances(connector.id, 2);
      await first.kill();
      assert.match(await client.waitForEnd(), new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(countTargets(path), sent);
      assert.equal(await ask('GET', connector.host, '/show'), 200);
    });
  }

  it('an answer that has begun is cut, never completed', async (t) => {
    const connector = await addConnector();
    origin.on('/half', (_, res) => void res.write('half'));
    const agent = await start(t, await install(connector));
    await waitForStatus(connector.host, 200);
    const client = await send('GET', connector.host, '/half');
    await client.waitFor(/half/);
    await agent.kill();
    assert.doesNotMatch(await client.waitForEnd(), /\r\n0\r\n\r\n$/);
  });
});

// Each of them waits for the better part of twenty seconds.
describe('a peer that is silent', { concurrency: true }, () => {
  it(`is found out within ${DETECTION_MS / 1_000} s, and its requests go to another agent`, async (t) => {
    const connector = await addConnector();
    const [paused, well] = [await install(connector), await install(connector)];
    const stopped = await start(t, paused);
    await waitForStatus(connector.host, 200);
    await start(t, well);
    await chain.waitForInstances(connector.id, 2);

    stopped.signal('SIGSTOP');
    const startedAt = performance.now();
    const statuses = await Promise.all(Array.from({ length: 12 }, () => ask('GET', connector.host, '/show')));
    const ms = performance.now() - startedAt;
    t.diagnostic(`all were served after ${(ms / 1_000).toFixed(1)} s`);
    assert.deepEqual([...new Set(statuses)], [200]);
    await chain.waitForInstances(connector.id, 1);
    assert.ok(performance.now() - startedAt < DETECTION_MS, `${ms} ms`);
    stopped.signal('SIGCONT');
    await chain.waitForInstances(connector.id, 2);
  });

  it('is found out by both where the network swallows everything, and the agent comes back', async (t) => {
    const connector = await addConnector();
    const network = await startBlackHole(gateway.agentPort);
    t.after(() => network.stop());
    const agent = await install(connector, {}, `https://localhost:${network.port}`);
    await start(t, agent);
    await waitForStatus(connector.host, 200);
    network.swallow();
    const startedAt = performance.now();
    const isDead = (text: string): boolean => text.includes('"timed_out"');
    const from = gateway.stdout().length;
    const ends = {
      'the gateway knows': () =>
        gateway
          .stdout()
          .slice(from)
          .split('\n')
          .some((line) => line.includes(connector.id) && isDead(line)),
      'the agent knows': async () => isDead(await readLog(agent.folder)),
    };
    for (const [what, isSo] of Object.entries(ends)) {
      await waitUntil(what, isSo, DETECTION_MS);
      t.diagnostic(`${what} after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s at most`);
    }
    assert.ok(performance.now() - startedAt < DETECTION_MS);
    await waitForStatus(connector.host, 200);
  });
});

describe('a gateway that is killed', () => {
  it('finds its agents again when it is back', async (t) => {
    const own = await chain.startGateway();
    const connector = await addConnector();
    await start(t, await install(connector, {}, own.agentUrl));
    await own.kill();
    const { agentPort, callerPort } = own;
    const next = await chain.startGateway({ agentPort, callerPort });
    const shared = gateway;
    gateway = next;
    try {
      await waitForStatus(connector.host, 200);
    } finally {
      gateway = shared;
      await next.stop();
    }
  });
});

describe('another access control', () => {
  it('holds from the next request on, and lets the one that runs finish', async (t) => {
    const connector = await addConnector();
    const agent = await install(connector);
    await start(t, agent);
    await waitForStatus(connector.host, 200);
    let answer: ServerResponse | undefined;
    origin.on('/long', (_, res) => {
      res.write('begun ');
      answer = res;
    });
    const client = await send('GET', connector.host, '/long');
    await client.waitFor(/begun/);
    await agent.setMappings([{ ...connector.mapping, allowedPaths: ['/other/*'] }]);
    await waitForStatus(connector.host, 403);
    assert.equal(await ask('GET', connector.host, '/other/path'), 200);
    answer?.end('done');
    assert.match(await client.waitForEnd(), /done\r\n0\r\n\r\n$/);
    assert.match(await readLog(agent.folder, 'audits'), /accesscontrol\.json/);
    // The former one is kept.
    const kept = await readdir(join(agent.folder, 'config', 'configs'));
    assert.ok(kept.filter((file) => file.startsWith('accesscontrol')).length > 1, kept.join());
  });

  it('is changed again and again under load, and no request is dropped', async (t) => {
    const CHANGES = 6;
    const LOADERS = 8;
    const connector = await addConnector();
    const agent = await install(connector);
    await start(t, agent);
    await waitForStatus(connector.host, 200);
    const countTaken = async (): Promise<number> =>
      (await readLog(agent.folder)).split('"a changed configuration is in force"').length - 1;
    const over = new AbortController();
    const statuses = new Map<number, number>();
    const load = async (at: number): Promise<void> => {
      while (!over.signal.aborted) {
        const status = await (at % 2 === 0
          ? ask('GET', connector.host, `/load/${at}`)
          : ask('POST', connector.host, `/load/${at}`, 'a body'));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const loading = Promise.all(Array.from({ length: LOADERS }, (_, at) => load(at)));
    try {
      for (let change = 1; change <= CHANGES; change++) {
        // Another application beside it each time, and its own with other settings.
        const other = { ...connector.mapping, virtualhost: `other-${change}.virtual` };
        await agent.setMappings([{ ...connector.mapping, timeoutSeconds: 30 + change }, other]);
        await waitUntil(`change ${change} is in force`, async () => (await countTaken()) === change);
      }
    } finally {
      over.abort();
      await loading;
    }
    t.diagnostic([...statuses].join('; '));
    assert.deepEqual([...statuses.keys()], [200]);
    assert.ok((statuses.get(200) ?? 0) > CHANGES * LOADERS);
  });

  const INVALID: Readonly<Record<string, string>> = {
    'that is no JSON': '[{',
    'with a comment': '// ours\n[]',
    'with an unknown member': '[{"virtualhost":"a","virtualprot":1}]',
    'that is empty': '',
  };
  for (const [name, text] of Object.entries(INVALID)) {
    it(`${name} is refused, and the former one stays in force`, async (t) => {
      const connector = await addConnector();
      const agent = await install(connector);
      await start(t, agent);
      await waitForStatus(connector.host, 200);
      await writeFile(join(agent.folder, 'config', 'configs', 'accesscontrol.json'), text);
      const isSaid = async (): Promise<boolean> => /accesscontrol\.json:\d+:\d+/.test(await readLog(agent.folder));
      await waitUntil('the log says where it is wrong', isSaid);
      assert.equal(await ask('GET', connector.host, '/show'), 200);
    });
  }
});

describe('callers who cancel', () => {
  it('by the thousand harm nobody else', async (t) => {
    const connector = await addConnector();
    const agent = await install(connector);
    await start(t, agent);
    await waitForStatus(connector.host, 200);
    origin.on('/slow', () => undefined);
    const CANCELS = 2_000;
    const startedAt = performance.now();
    let failures = 0;
    for (let at = 0; at < CANCELS; at += 50) {
      const seen = countTargets('/slow');
      const clients = await Promise.all(Array.from({ length: 50 }, () => send('GET', connector.host, '/slow')));
      await waitUntil('they are under way', () => countTargets('/slow') >= seen + 50);
      for (const { socket } of clients) socket.destroy();
      if ((await ask('GET', connector.host, '/show')) !== 200) failures++;
    }
    t.diagnostic(`${CANCELS} in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
    assert.equal(failures, 0);
    assert.doesNotMatch(await readLog(agent.folder), /is lost/);
  });
});

/** What waits in a worker before it takes no more requests. */
const MAX_WAITING = 8_192;

// Where nobody may mount, as in a container without rights, it fails: it is not to be missed silently.
describe('a full disk', () => {
  it('under the audit log is told of; what was done meanwhile is written as soon as there is room', async (t) => {
    const connector = await addConnector();
    const agent = await install(connector);
    const audits = join(agent.folder, 'audits');
    await mkdir(audits, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', audits]);
    try {
      const child = await start(t, agent);
      await waitForStatus(connector.host, 200);
      await writeFile(join(audits, 'ballast'), Buffer.alloc(1_000_000)).catch(() => undefined);
      let served = 0;
      await waitUntil('the log says so', async () => {
        if ((await ask('GET', connector.host, `/full/${served}`)) === 200) served++;
        return (await readLog(agent.folder)).includes('the audit log cannot be written');
      });
      assert.equal(child.hasExited(), false);
      assert.equal(await ask('GET', connector.host, `/full/${served++}`), 200);
      await rm(join(audits, 'ballast'));
      const isWritten = async (): Promise<boolean> => {
        const audit = await readLog(agent.folder, 'audits');
        return Array.from({ length: served }, (_, at) => `${connector.host}:80/full/${at}"`).every((path) =>
          audit.includes(path),
        );
      };
      await waitUntil('every request is in the audit log', isWritten);
      await child.stop();
      const args = [join(agent.folder, 'lib', 'kore-connector.js'), 'audit', 'verify'];
      await run(process.execPath, args, { cwd: agent.folder });
    } finally {
      await run('umount', ['-l', audits]);
    }
  });

  it(`stops new requests when ${MAX_WAITING} lines wait, and none before; all of them are written in the end`, async (t) => {
    const connector = await addConnector();
    const agent = await install(connector);
    const audits = join(agent.folder, 'audits');
    await mkdir(audits, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', audits]);
    try {
      const child = await start(t, agent);
      await waitForStatus(connector.host, 200);
      await writeFile(join(audits, 'ballast'), Buffer.alloc(20_000_000)).catch(() => undefined);
      // Few on each connection: a refusal is given only after other agents were looked for.
      const [CALLERS, EACH] = [20, 25];
      let [served, refused] = [0, 0];
      const sendMany = async (): Promise<void> => {
        const client = await connectRaw(gateway.callerPort);
        const one = (isLast: boolean): string =>
          `GET http://${connector.host}/counted HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ${token}\r\n` +
          `X-Connector: ${connector.id}\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n`;
        client.send(Array.from({ length: EACH }, (_, at) => one(at === EACH - 1)).join(''));
        const received = await client.waitForEnd();
        served += received.match(/HTTP\/1\.1 200 /g)?.length ?? 0;
        refused +=
          received.match(/HTTP\/1\.1 503 .*\r\n(?:.*\r\n)*?X-Connector-Error: connector_unavailable/g)?.length ?? 0;
      };
      await waitUntil('requests are refused', async () => {
        await Promise.all(Array.from({ length: CALLERS }, sendMany));
        return refused > 0;
      }, CALM_MS); // prettier-ignore
      t.diagnostic(`${served} were served before that`);
      assert.ok(served <= MAX_WAITING + CALLERS * EACH && served > MAX_WAITING / 2, `${served}`);
      const servedBefore = served;
      assert.equal(await ask('GET', connector.host, '/counted'), 503, 'and it stays so');
      await rm(join(audits, 'ballast'));
      await waitForStatus(connector.host, 200, '/again');
      await child.stop();
      const lines = (await readLog(agent.folder, 'audits')).split('\n').filter((line) => line.includes('/counted"'));
      assert.equal(lines.length, servedBefore);
      const args = [join(agent.folder, 'lib', 'kore-connector.js'), 'audit', 'verify'];
      await run(process.execPath, args, { cwd: agent.folder });
    } finally {
      await run('umount', ['-l', audits]);
    }
  });
});
