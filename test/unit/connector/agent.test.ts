import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { AgentLog } from '../../../src/connector/agent-events.ts';
import { type Agent, type AgentDeps, startAgent, type WorkerConfig } from '../../../src/connector/agent.ts';
import type { Credentials } from '../../../src/connector/config/agent-config.ts';
import { RECONNECT_CAP_MS, SPARE_RETRY_MS } from '../../../src/connector/reconnect.ts';
import { Secret } from '../../../src/core/secret.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificate-authority.ts';
import { HELLO_TIMEOUT_MS } from '../../../src/tunnel/limits.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { type GatewayNode, startGatewayNode } from '../../support/gateway-node.ts';
import { toHead, toMapping } from '../../support/relay-under-test.ts';
import { openCall } from '../../support/tunnel-pair.ts';

const NOW = 1_700_000_000;
const WAIT_MS = 10_000;

let ca: CertificateAuthority;
let application: Server;
let applicationPort = 0;
let slow: ServerResponse | undefined;

async function issueCredentials(): Promise<Credentials> {
  const { key, cert } = await ca.issue({ commonName: 'cn-1', names: 'URI:urn:countersign:connector:cn-1' });
  return { key: new Secret(key), cert, ca: ca.cert, connectorId: 'cn-1', expiresAt: NOW + 1_000 };
}

/** Waits until `isSo`, looking at every turn of the event loop. */
async function waitUntil(isSo: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Told {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface AgentUnderTest {
  readonly agent: Agent;
  readonly config: WorkerConfig;
  readonly told: readonly Told[];
  readonly audited: readonly Readonly<Record<string, unknown>>[];
  /** The waits between dials that were asked for, in milliseconds; they last 1 ms, or until `wake` where they are long. */
  readonly waits: readonly number[];
  /** What its first connection did, each time the status was told to be another one. */
  readonly states: readonly (string | undefined)[];
  wake(): void;
}

async function start(
  t: TestContext,
  nodes: readonly { readonly url: string }[],
  changes: Partial<WorkerConfig> = {},
): Promise<AgentUnderTest> {
  const told: Told[] = [];
  const audited: Readonly<Record<string, unknown>>[] = [];
  const waits: number[] = [];
  const states: (string | undefined)[] = [];
  let sleeping: (() => void)[] = [];
  const say =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void told.push({ level, message, fields });
  const log: AgentLog = { error: say('error'), warn: say('warn'), info: say('info'), debug: say('debug') };
  const config: WorkerConfig = {
    credentials: await issueCredentials(),
    gatewayUrls: nodes.map(({ url }) => url),
    mappings: [toMapping(applicationPort)],
    ...changes,
  };
  const deps: AgentDeps = {
    config,
    self: { instance: 'i-1', worker: 0, version: '1.2.3', hostname: 'über-host' },
    log,
    audit: { request: () => undefined, connection: (fields) => audited.push(fields), canRecord: () => true },
    clock: createFakeClock(NOW),
    random: (below) => randomInt(below),
    onStatusChange: () => states.push(agent.status().connections[0]?.state),
    sleep: (ms, signal) => {
      waits.push(ms);
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('woken')), { once: true });
        if (ms < SPARE_RETRY_MS / 2) setTimeout(resolve, 1);
        else sleeping.push(() => resolve(undefined));
      });
    },
  };
  const agent = startAgent(deps);
  t.after(() => agent.stop(0));
  return {
    agent,
    config,
    told,
    audited,
    waits,
    states,
    wake: () => {
      const woken = sleeping;
      sleeping = [];
      woken.forEach((resolve) => resolve());
    },
  };
}

async function startNode(
  t: TestContext,
  node: string,
  options: Partial<Parameters<typeof startGatewayNode>[1]> = {},
): Promise<GatewayNode> {
  const gateway = await startGatewayNode(ca, { node, ...options });
  t.after(() => gateway.stop().catch(() => undefined));
  return gateway;
}

/** One address in front of several nodes, each connection to the next. */
async function startBalancer(
  t: TestContext,
  ports: readonly number[],
): Promise<{ readonly url: string; setPorts(next: readonly number[]): void }> {
  let current = ports;
  let count = 0;
  const sockets = new Set<Socket>();
  const server = createTcpServer((client) => {
    const upstream = connect(current[count++ % current.length] ?? 0, '127.0.0.1');
    for (const [one, two] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      // prettier-ignore
      sockets.add(one);
      one.on('error', () => undefined).on('close', () => two.destroy());
      one.pipe(two);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    setPorts: (next) => {
      current = next;
    },
  };
}

const isConnectedTo = (...nodes: readonly GatewayNode[]): boolean =>
  nodes.every((node) => node.live().some(({ table }) => table !== undefined));

before(async () => {
  ca = await createCertificateAuthority('ours');
  application = createServer((request, response) => {
    if (request.url !== '/slow') response.end('ok');
    else {
      slow = response;
      response.flushHeaders();
    }
  });
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  applicationPort = (application.address() as AddressInfo).port;
});
after(async () => {
  application.closeAllConnections();
  application.close();
  await ca.remove();
});

describe('an agent', () => {
  it('connects to two nodes, says who it is, and what it admits', async (t) => {
    const [one, two] = [await startNode(t, 'node-1'), await startNode(t, 'node-2')];
    const { agent, audited } = await start(t, [one, two]);
    await waitUntil(() => isConnectedTo(one, two), 'both nodes');
    const expected = { id: 'cn-1', instance: 'i-1', worker: 0, version: '1.2.3', hostname: '-ber-host' };
    assert.deepEqual(one.agents[0]?.hello, expected);
    assert.deepEqual(two.agents[0]?.table, [{ host: 'app.virtual', port: 80, name: 'App', allowedPaths: '/*', upgrade: true, allowEncodedSlash: false }]); // prettier-ignore
    const { connections, inFlight } = agent.status();
    assert.deepEqual(connections.map(({ state, node, connectedAt }) => [state, node, connectedAt]), [['connected', 'node-1', NOW], ['connected', 'node-2', NOW]]); // prettier-ignore
    assert.equal(inFlight, 0);
    assert.equal(agent.isConnected, true);
    assert.deepEqual(audited.map(({ act }) => act), ['connected', 'connected']); // prettier-ignore
  });

  it('tells when a connection is in another state', async (t) => {
    const node = await startNode(t, 'node-1');
    const { states, agent } = await start(t, [node]);
    await waitUntil(() => states.includes('connected') || states.includes('spare'), 'a state');
    await waitUntil(() => agent.isConnected, 'the connection');
    assert.equal(states.at(-1), agent.status().connections[0]?.state);
  });

  it('relays what a node asks', async (t) => {
    const one = await startNode(t, 'node-1');
    await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    const connection = one.agents[0]?.connection;
    assert.ok(connection);
    assert.equal((await openCall(connection, toHead(), true).answer).body.toString(), 'ok');
  });

  it('is content with one connection where there is one node, and seldom looks for another', async (t) => {
    const one = await startNode(t, 'node-1');
    const { agent, waits } = await start(t, [one]);
    await waitUntil(() => waits.some((ms) => ms >= SPARE_RETRY_MS / 2), 'the long wait');
    assert.equal(one.agents.length, 1, 'no second HELLO, which would replace the first');
    await waitUntil(() => agent.status().connections.map(({ state }) => state).sort().join(' ') === 'connected spare', 'the states'); // prettier-ignore
  });

  it('finds the second node behind one address when it comes', async (t) => {
    const [one, two] = [await startNode(t, 'node-1'), await startNode(t, 'node-2')];
    const balancer = await startBalancer(t, [one.port]);
    const { waits, wake } = await start(t, [balancer]);
    await waitUntil(() => waits.some((ms) => ms >= SPARE_RETRY_MS / 2), 'the long wait');
    balancer.setPorts([one.port, two.port]);
    await waitUntil(() => {
      wake();
      return isConnectedTo(one, two);
    }, 'both nodes');
    assert.equal(one.agents.length, 1);
  });

  it('knows a node by its HELLO where the certificate does not name it', async (t) => {
    const one = await startNode(t, 'node-1', { isNamed: false });
    const { agent, waits } = await start(t, [one]);
    await waitUntil(() => waits.some((ms) => ms >= SPARE_RETRY_MS / 2), 'the long wait');
    await waitUntil(() => one.live().length === 1, 'one connection');
    assert.equal(agent.isConnected, true);
  });

  it('connects again when a connection is lost, after a wait', async (t) => {
    const [one, two] = [await startNode(t, 'node-1'), await startNode(t, 'node-2')];
    const { told, waits } = await start(t, [one, two]);
    await waitUntil(() => isConnectedTo(one, two), 'both nodes');
    const before = waits.length;
    one.agents[0]?.socket.destroy();
    await waitUntil(() => one.agents.length === 2 && isConnectedTo(one, two), 'the node again');
    assert.ok(waits.length > before);
    const lost = told.find(({ message }) => message === 'the connection to the gateway is lost');
    assert.deepEqual([lost?.level, lost?.fields['node']], ['warn', 'node-1']);
  });

  it('dials the new node before it leaves the old one, whose requests go on', async (t) => {
    const [one, two, three] = [
      await startNode(t, 'node-1'),
      await startNode(t, 'node-2'),
      await startNode(t, 'node-3'),
    ];
    const balancer = await startBalancer(t, [one.port, two.port]);
    await start(t, [balancer]);
    await waitUntil(() => isConnectedTo(one, two), 'both nodes');
    balancer.setPorts([three.port]);
    const old = one.agents[0];
    assert.ok(old);
    const call = openCall(old.connection, toHead({ target: '/slow' }), true);
    await call.head;
    old.connection.drain(WAIT_MS);
    await waitUntil(() => isConnectedTo(three), 'the new node');
    assert.equal(old.closed, undefined, 'the old one is still there');
    slow?.end('late');
    assert.equal((await call.answer).body.toString(), 'late');
    await waitUntil(() => old.closed !== undefined, 'the end of the old one');
    assert.equal(isConnectedTo(two, three), true);
  });

  it('does not come back to a node while it leaves', async (t) => {
    const one = await startNode(t, 'node-1');
    const { waits } = await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    const old = one.agents[0];
    assert.ok(old);
    const call = openCall(old.connection, toHead({ target: '/slow' }), true);
    await call.head;
    old.connection.drain(WAIT_MS);
    const before = one.socketCount();
    await waitUntil(() => one.socketCount() > before + 10, 'some dials');
    assert.equal(one.agents.length, 1);
    slow?.end('late');
    await call.answer;
    await waitUntil(() => one.agents.length === 2, 'the node again');
    assert.ok(waits.every((ms) => ms <= 4_000 || ms >= SPARE_RETRY_MS / 2));
  });

  it('says what to do where the gateway does not accept it, and does not hammer', async (t) => {
    const one = await startNode(t, 'node-1', {
      judge: (connection) => {
        connection.close('unauthorized', 'the certificate was revoked', 60_000);
        return false;
      },
    });
    const { agent, told, waits, wake } = await start(t, [one]);
    await waitUntil(() => told.some(({ level }) => level === 'error'), 'a line');
    const { message, fields } = told.find(({ level }) => level === 'error') as Told;
    assert.equal(message, 'the gateway refused the connection');
    assert.deepEqual([fields['code'], fields['detail']], ['unauthorized', 'the certificate was revoked']);
    assert.match(String(fields['advice']), /generate a new one/);
    await waitUntil(
      () => waits.some((ms) => ms >= 60_000 && ms <= 60_000 + RECONNECT_CAP_MS),
      'the wait that was asked for',
    );
    assert.equal(agent.isConnected, false);
    wake();
  });

  it('tells of a gateway that is not there', async (t) => {
    const { agent, told } = await start(t, [{ url: 'https://localhost:1' }]);
    await waitUntil(() => told.some(({ level }) => level === 'error'), 'a line');
    assert.match(String(told[0]?.fields['detail'] ?? told[1]?.fields['detail']), /localhost:1 cannot be reached/);
    assert.match(String(agent.status().connections[0]?.fault), /cannot be reached/);
  });

  it('takes a new access control without new connections', async (t) => {
    const one = await startNode(t, 'node-1');
    const { agent, config } = await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    agent.reload({ ...config, mappings: [toMapping(applicationPort, { virtualHost: 'new.virtual' })] });
    await waitUntil(() => one.agents[0]?.table?.[0]?.host === 'new.virtual', 'the table');
    const { connection } = one.agents[0] ?? assert.fail();
    const refused = await openCall(connection, toHead(), true).answer;
    assert.equal(refused.head?.connectorError, 'application_unknown');
    assert.equal(one.agents.length, 1);
  });

  it('connects with new credentials before it leaves the old connections', async (t) => {
    const one = await startNode(t, 'node-1');
    const { agent, config } = await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    const old = one.agents[0] ?? assert.fail();
    const call = openCall(old.connection, toHead({ target: '/slow' }), true);
    await call.head;
    agent.reload({ ...config, credentials: await issueCredentials() });
    await waitUntil(() => one.agents.length === 2, 'the new connection');
    assert.notEqual(one.agents[1]?.serial, old.serial);
    assert.equal(old.closed, undefined);
    slow?.end('late');
    assert.equal((await call.answer).body.toString(), 'late');
    await waitUntil(() => old.closed !== undefined, 'the end of the old one');
    assert.equal(one.live().length, 1);
  });

  it('keeps the old connection where the new credentials are not accepted', async (t) => {
    const one = await startNode(t, 'node-1');
    const { agent, config, told } = await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    const other = await createCertificateAuthority('another');
    const { key, cert } = await other.issue({ commonName: 'cn-1' });
    agent.reload({ ...config, credentials: { ...config.credentials, key: new Secret(key), cert } });
    await waitUntil(() => told.some(({ level }) => level === 'error'), 'a line');
    assert.equal(one.live().length, 1);
    assert.equal(agent.isConnected, true);
    await other.remove();
  });

  it('asks a service of the gateway', async (t) => {
    let asked: unknown;
    const one = await startNode(t, 'node-1', {
      onStream: ({ to }) => {
        asked = to;
        return undefined;
      },
    });
    const { agent } = await start(t, [one]);
    const handlers = { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined };
    const head = toHead({ to: { service: 'webhook' } });
    assert.equal(agent.open(head, handlers, true), undefined);
    await waitUntil(() => isConnectedTo(one), 'the node');
    assert.ok(agent.open(head, handlers, true));
    await waitUntil(() => asked !== undefined, 'the request');
    assert.deepEqual(asked, { service: 'webhook' });
  });

  it('finishes what runs before it stops', async (t) => {
    const [one, two] = [await startNode(t, 'node-1'), await startNode(t, 'node-2')];
    const { agent } = await start(t, [one, two]);
    await waitUntil(() => isConnectedTo(one, two), 'both nodes');
    const { connection } = one.agents[0] ?? assert.fail();
    const call = openCall(connection, toHead({ target: '/slow' }), true);
    await call.head;
    let isStopped = false;
    const stopped = agent.stop(WAIT_MS).then(() => (isStopped = true));
    await waitUntil(() => two.live().length === 0, 'the end of the idle one');
    assert.equal(isStopped, false);
    slow?.end('late');
    assert.equal((await call.answer).body.toString(), 'late');
    await stopped;
    await waitUntil(() => one.live().length === 0, 'the end of the other one');
  });

  it('cuts what does not finish in time when it stops', async (t) => {
    const one = await startNode(t, 'node-1');
    const { agent } = await start(t, [one]);
    await waitUntil(() => isConnectedTo(one), 'the node');
    const { connection } = one.agents[0] ?? assert.fail();
    const call = openCall(connection, toHead({ target: '/slow' }), true);
    await call.head;
    await agent.stop(50);
    assert.equal((await call.answer).isWhole, false);
  });

  it('stops while it waits for HELLO', async (t) => {
    const one = await startNode(t, 'node-1', { judge: () => false });
    const { agent } = await start(t, [one]);
    await waitUntil(() => one.socketCount() > 0, 'a connection');
    await waitUntil(
      () => agent.status().connections.some(({ state }) => state === 'spare' || state === 'connecting'),
      'HELLO',
    );
    const atMs = performance.now();
    await agent.stop(WAIT_MS);
    await waitUntil(() => one.openCount() === 0, 'the end of the connection');
    assert.ok(performance.now() - atMs < HELLO_TIMEOUT_MS / 2);
  });

  it('stops while it dials', async (t) => {
    const silent = createTcpServer(() => undefined);
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { agent } = await start(t, [{ url: `https://localhost:${(silent.address() as AddressInfo).port}` }]);
    await once(silent, 'connection');
    await agent.stop(WAIT_MS);
    silent.close();
  });
});
