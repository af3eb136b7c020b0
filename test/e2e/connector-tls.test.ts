import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { WebSocket } from 'ws';

import { type CertificateAuthority, createCertificateAuthority } from '../support/certificate-authority.ts';
import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { runCurl } from '../support/curl.ts';
import { connectRaw } from '../support/raw-client.ts';
import { type Shown, startTestOrigin, type TestOrigin } from '../support/test-origin.ts';

const HOST = '127.0.0.1';
const ORIGIN = 'crm.virtual:8080';

let chain: ConnectorChain;
let origin: TestOrigin;
let ca: CertificateAuthority;
let gateway: GatewayProcess;
let connector: Connector;
let token = '';

before(async () => {
  [chain, origin, ca] = await Promise.all([
    startConnectorChain(),
    startTestOrigin(),
    createCertificateAuthority('TLS'),
  ]);
  const { certFile, keyFile } = await ca.issue({ commonName: 'gateway', names: 'DNS:localhost' });
  gateway = await chain.startGateway({
    env: { COUNTERSIGN_TLS_CERT_FILE: certFile, COUNTERSIGN_TLS_KEY_FILE: keyFile },
  });
  connector = await chain.addConnector();
  token = await chain.addCaller();
  const agent = await chain.install(connector, {
    gatewayUrls: [gateway.agentUrl],
    config: { cluster: { enabled: false } },
    mappings: [
      {
        virtualhost: 'crm.virtual',
        virtualport: 8080,
        internalhost: HOST,
        internalport: origin.port,
        protocol: 'http',
        allowedPaths: '/*',
        upgrade: true,
      },
    ],
  });
  await agent.start();
  const isUp = async (): Promise<boolean> => (await viaProxy('/show')).status === 200;
  await waitUntil('the first answer', isUp);
});
after(async () => {
  await Promise.all([chain.stop(), origin.stop(), ca.remove()]);
});

const viaProxy = (path: string, ...args: readonly string[]): ReturnType<typeof runCurl> =>
  runCurl('-x', `https://${token}@localhost:${gateway.callerPort}`, '--proxy-cacert', ca.certFile, ...args, `http://${ORIGIN}${path}`); // prettier-ignore
const toReverse = (path: string, scheme = 'https'): string =>
  `${scheme}://localhost:${gateway.callerPort}/${connector.id}/crm.virtual/8080${path}`;
const credential = (): readonly string[] => ['-H', `X-Connector-Authorization: Bearer ${token}`];

describe('the caller port with TLS', () => {
  it('is a forward proxy', async () => {
    const { status, body } = await viaProxy('/show?a=1', '-d', 'hello');
    const { target, bytes } = JSON.parse(body) as Shown;
    assert.deepEqual([status, target, bytes], [200, '/show?a=1', 5]);
  });

  it('has the reverse route', async () => {
    const { status, body } = await runCurl('--cacert', ca.certFile, ...credential(), toReverse('/show'));
    assert.deepEqual([status, (JSON.parse(body) as Shown).target], [200, '/show']);
  });

  it('carries web sockets', async () => {
    const socket = new WebSocket(toReverse('/socket', 'wss'), {
      ca: ca.cert,
      headers: { 'X-Connector-Authorization': `Bearer ${token}` },
    });
    await once(socket, 'open');
    socket.send('hello');
    const [data] = (await once(socket, 'message')) as [Buffer];
    assert.equal(String(data), 'hello');
    socket.close();
    await once(socket, 'close');
  });

  it('shows a certificate that is checked', async () => {
    const { code } = await runCurl(...credential(), toReverse('/show'));
    assert.equal(code, 60);
  });

  it('answers nobody without TLS', async () => {
    const client = await connectRaw(gateway.callerPort);
    client.send(`GET http://${ORIGIN}/show HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`);
    assert.doesNotMatch(await client.waitForEnd(), /^HTTP/);
  });

  it('refuses an older version of TLS', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const socket = connectTls({ port: gateway.callerPort, host: HOST, servername: 'localhost', ca: ca.cert, ...old });
    const [error] = await new Promise<[Error]>((resolve) => {
      socket.once('error', (given) => resolve([given]));
    });
    assert.match(error.message, /protocol version|alert/i);
  });

  it('never lets an answer that is cut look whole to a caller of HTTP/1.0', async () => {
    let application: ServerResponse | undefined;
    origin.on('/half', (_, res) => {
      res.write('half');
      application = res;
    });
    const asked = runCurl('--http1.0', '--no-alpn', '--cacert', ca.certFile, ...credential(), toReverse('/half'));
    await waitUntil('it has begun', () => application !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
    application?.destroy();
    const { code } = await asked;
    assert.notEqual(code, 0);
  });
});
