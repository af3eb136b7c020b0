/**
 * What a connector does besides relaying: webhooks that an on-premises application pushes out, and the renewal of its
 * certificate. Real processes; the target of the webhooks and the internal application are servers of the test.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { isKeyOf } from '../../src/connector/config/named-files.ts';
import { Secret } from '../../src/core/secret.ts';
import { signWebhook, toSigningKey } from '../../src/core/webhook-signature.ts';
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
import { runCurl } from '../support/curl.ts';
import { findListening } from '../support/listening.ts';
import { getFreePort } from '../support/processes.ts';

const HOST = '127.0.0.1';
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr';
const DAY_MS = 86_400_000;
/** The registry's process lives so long ago: what it certifies has used up two thirds of its life by now. */
const AGO_DAYS = 61;
const LONG_AGO = `--import=data:text/javascript,const{now}=Date;Date.now=()=>now()-${AGO_DAYS * DAY_MS}`;
const NOW = { NODE_OPTIONS: '' };

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let chain: ConnectorChain;
let gateway: GatewayProcess;
let connector: Connector;
let installation: Installation;
let agent: Child;
let pushUrl = '';
let target: Server;
let application: Server;
let token = '';
let gatewayEnv: Readonly<Record<string, string>> = {};
const ports = { caller: 0, agent: 0 };
const received: Received[] = [];
/** Requests that the internal application has begun to answer. */
const open: ServerResponse[] = [];

async function listen(server: Server): Promise<number> {
  server.listen(0, HOST);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const startGateway = async (): Promise<GatewayProcess> =>
  chain.startGateway({ callerPort: ports.caller, agentPort: ports.agent, env: gatewayEnv });

async function push(body: string, ...args: readonly string[]): Promise<string> {
  const answer = await runCurl('-X', 'POST', '-H', 'Content-Type: application/json', '-d', body, ...args, pushUrl);
  assert.equal(answer.status, 202, answer.body);
  return (JSON.parse(answer.body) as { id: string }).id;
}

const findReceived = (id: string): Received[] => received.filter(({ headers }) => headers['webhook-id'] === id);

/** Waits until both workers have a connection with this certificate. The registry's process would find them too young. */
const waitForConnections = (cert: string): Promise<void> =>
  waitUntil('connections of both workers', () => {
    const serial = new X509Certificate(cert).serialNumber.toLowerCase();
    const lines = gateway.stdout().split('\n');
    return lines.filter((line) => line.includes('agent connected') && line.includes(serial)).length >= 2;
  });

before(async () => {
  target = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (part: string) => (body += part));
    req.on('end', () => {
      received.push({ headers: req.headers, body });
      res.writeHead(204).end();
    });
  });
  application = createServer((_, res) => {
    res.write('begun\n');
    open.push(res);
  });
  const [targetPort, applicationPort, pushPort] = [
    await listen(target),
    await listen(application),
    await getFreePort(),
  ];
  [ports.caller, ports.agent] = [await getFreePort(), await getFreePort()];
  chain = await startConnectorChain({ NODE_OPTIONS: LONG_AGO });
  gatewayEnv = {
    ...NOW,
    COUNTERSIGN_WEBHOOK_TARGETS: `alerts=http://${HOST}:${targetPort}/in`,
    COUNTERSIGN_WEBHOOK_SECRET: SECRET,
  };
  gateway = await startGateway();
  connector = await chain.addConnector();
  token = await chain.addCaller();
  installation = await chain.install(connector, {
    mappings: [{ virtualhost: 'app.virtual', virtualport: 80, internalhost: HOST, internalport: applicationPort, protocol: 'http', allowedPaths: '/*' }], // prettier-ignore
    gatewayUrls: [gateway.agentUrl],
    config: { webhooks: { port: pushPort, routes: [{ path: '/alerts', target: 'alerts' }] } },
  });
  pushUrl = `http://${HOST}:${pushPort}/alerts`;
  agent = await installation.start();
});
after(async () => {
  open.forEach((res) => res.destroy());
  await chain.stop();
  target.close();
  application.close();
});

describe('webhooks pushed through a connector', () => {
  it('arrive signed, with the id that the application was told', async () => {
    const body = '{"alert":"disk"}';
    const id = await push(body);
    await waitUntil('it arrives', () => findReceived(id).length > 0);
    const [{ headers, body: arrived } = {} as Received] = findReceived(id);
    assert.deepEqual([arrived, headers['content-type'], headers['x-connector-id']], [body, 'application/json', connector.id]); // prettier-ignore
    const signed = signWebhook(toSigningKey(new Secret(SECRET)), id, Number(headers['webhook-timestamp']), body);
    assert.equal(headers['webhook-signature'], signed['webhook-signature']);
    const audits = async (): Promise<unknown[]> =>
      (await readLog(installation.folder, 'audits')).split('\n').filter((line) => line.includes(id))
        .map((line) => (JSON.parse(line) as { verdict: unknown }).verdict); // prettier-ignore
    await waitUntil('it is written down', async () => (await audits()).length === 2);
    assert.deepEqual(await audits(), ['accepted', 'delivered']);
  });

  it('are all that an agent listens for, on the loopback address', async () => {
    const port = Number(new URL(pushUrl).port).toString(16).toUpperCase().padStart(4, '0');
    assert.deepEqual(await findListening(agent.pid), [`tcp 0100007F:${port}`]);
  });

  it('outlast an agent and a gateway that are killed, each with its id, a key once', async () => {
    await gateway.kill();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await push(`{"n":${n}}`, '-H', `Idempotency-Key: order-${n}`));
    await agent.kill();
    agent = await installation.start({ isConnected: false });
    await waitUntil('it takes webhooks again', async () => (await runCurl(pushUrl)).status === 405);
    for (let n = 0; n < 20; n++) assert.equal(await push(`{"n":${n}}`, '-H', `Idempotency-Key: order-${n}`), ids[n]);
    gateway = await startGateway();
    await waitUntil('all have arrived', () => ids.every((id) => findReceived(id).length > 0), 40_000);
    assert.deepEqual(ids.map((id) => findReceived(id).map(({ body }) => body)), ids.map((_, n) => [`{"n":${n}}`])); // prettier-ignore
    const order = received.map(({ headers }) => headers['webhook-id']).filter((id) => ids.includes(String(id)));
    assert.deepEqual(order, ids);
    await waitUntil('the spool is empty', async () =>
      (await readdir(join(installation.folder, 'spool'))).every((name) => !name.endsWith('.msg')),
    );
  });
});

describe('a certificate that has used up two thirds of its life', () => {
  it('is renewed with a new key, and a request under way does not notice', { timeout: 90_000 }, async () => {
    await waitForConnections(connector.cert);
    const slow = runCurl('-x', `http://${token}@${HOST}:${gateway.callerPort}`, 'http://app.virtual/slow');
    await waitUntil('it is under way', () => open.length === 1);
    const certFile = join(installation.folder, 'credentials', 'Kore.aiConnectorCert.pem');
    const keyFile = join(installation.folder, 'credentials', 'Kore.aiConnector.key');
    await waitUntil('the certificate is another one', async () => (await readFile(certFile, 'utf8')) !== connector.cert, 40_000); // prettier-ignore
    const [key, cert] = [await readFile(keyFile, 'utf8'), await readFile(certFile, 'utf8')];
    assert.ok(key !== connector.key && isKeyOf(new Secret(key), cert));
    const days = (Date.parse(new X509Certificate(cert).validTo) - Date.now()) / DAY_MS;
    assert.ok(days > 44 && days < 46, `${days}`);

    await waitForConnections(cert);
    open[0]?.end('done\n');
    const { status, body } = await slow;
    assert.deepEqual([status, body], [200, 'begun\ndone\n']);
    const again = runCurl('-x', `http://${token}@${HOST}:${gateway.callerPort}`, 'http://app.virtual/');
    await waitUntil('it is under way', () => open.length === 2);
    open[1]?.end();
    assert.equal((await again).status, 200);
    assert.match(await readLog(installation.folder, 'audits'), /"kind":"certificate".*"act":"renewed"/);
  });
});
