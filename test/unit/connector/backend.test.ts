import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';

import type { ApplicationTls, Mapping } from '../../../src/connector/config/agent-config.ts';
import { Secret } from '../../../src/core/secret.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type Issued,
} from '../../support/certificate-authority.ts';
import { type Child, startChild, waitUntilReady } from '../../support/child.ts';
import { createTempFolder, getFreePort } from '../../support/processes.ts';
import { type RelayUnderTest, startRelay, toHead, toMapping } from '../../support/relay-under-test.ts';

let ca: CertificateAuthority;
let other: CertificateAuthority;
let server: Issued;
let client: Issued;

const toHttps = (port: number, tls: ApplicationTls, changes: Partial<Mapping> = {}): Mapping =>
  toMapping(port, { protocol: 'https', internalHost: 'localhost', tls, ...changes });

async function withRelay(mapping: Mapping, use: (relay: RelayUnderTest) => Promise<void>): Promise<void> {
  const relay = await startRelay([mapping]);
  try {
    await use(relay);
  } finally {
    relay.stop();
  }
}

before(async () => {
  [ca, other] = await Promise.all([createCertificateAuthority('ours'), createCertificateAuthority('another')]);
  server = await ca.issue({ commonName: 'app', names: 'DNS:localhost,DNS:app.internal' });
  client = await ca.issue({ commonName: 'agent' });
});
after(async () => {
  await Promise.all([ca.remove(), other.remove()]);
});

describe('an application behind TLS', () => {
  it('is reached where its certificate is right, and not where it is not', async () => {
    const application = createHttps({ key: server.key, cert: server.cert }, (request, response) => {
      response.end((request.socket as TLSSocket).servername || 'no name');
    });
    application.on('tlsClientError', () => undefined);
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    const { port } = application.address() as AddressInfo;
    const CASES: Record<string, readonly [Mapping, string | undefined]> = {
      'its own authority': [toHttps(port, { ca: ca.cert }), 'localhost'],
      'another name': [toHttps(port, { ca: ca.cert, serverName: 'app.internal' }), 'app.internal'],
      'an address and a name': [toHttps(port, { ca: ca.cert, serverName: 'localhost' }, { internalHost: '127.0.0.1' }), 'localhost'],
      'an address that is not in it': [toHttps(port, { ca: ca.cert }, { internalHost: '127.0.0.1' }), undefined],
      'a name that is not in it': [toHttps(port, { ca: ca.cert, serverName: 'db.internal' }), undefined],
      'another authority': [toHttps(port, { ca: other.cert }), undefined],
      "the system's authorities": [toHttps(port, {}), undefined],
      'plain HTTP': [toHttps(port, {}, { protocol: 'http' }), ''],
    }; // prettier-ignore
    for (const [name, [mapping, expected]] of Object.entries(CASES)) {
      await withRelay(mapping, async (relay) => {
        const answer = await relay.ask();
        if (expected === undefined) assert.equal(answer.head?.connectorError, 'application_unreachable', name);
        else if (expected === '') assert.notEqual(answer.head?.status, 200, name);
        else assert.equal(answer.body.toString(), expected, name);
      });
    }
    application.closeAllConnections();
    application.close();
  });

  it('is asked again on a new connection where a kept one was reset', async () => {
    let connections = 0;
    const application = createTlsServer({ key: server.key, cert: server.cert }, (socket) => {
      let requests = 0;
      connections++;
      socket.on('error', () => undefined);
      socket.on('data', () => {
        // With an alert in front, as a server does that is going down.
        if (requests++ > 0) socket.end();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    await withRelay(toHttps((application.address() as AddressInfo).port, { ca: ca.cert }), async (relay) => {
      assert.equal((await relay.ask()).head?.status, 200);
      assert.equal((await relay.ask()).head?.status, 200);
      assert.equal(connections, 2);
    });
    application.close();
  });
});

describe('an nginx', () => {
  let folder = '';
  let port = 0;
  let tlsPort = 0;
  let nginx: Child;
  before(async () => {
    folder = await createTempFolder();
    [port, tlsPort] = [await getFreePort(), await getFreePort()];
    await mkdir(join(folder, 'www'));
    await writeFile(join(folder, 'www', 'large.bin'), Buffer.alloc(5_000_000, 'nginx'));
    const site = `root ${join(folder, 'www')}; location = /who { return 200 "$host $http_x_forwarded_host $ssl_client_s_dn"; } location /auth { auth_basic "x"; auth_basic_user_file /dev/null; }`;
    await writeFile(
      join(folder, 'nginx.conf'),
      `user root; daemon off; pid ${folder}/pid; error_log ${folder}/error.log; events { worker_connections 1024; } http { access_log off; default_type text/plain;
client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
server { listen 127.0.0.1:${port} default_server; return 421; }
server { listen 127.0.0.1:${port}; server_name localhost; ${site} }
server { listen 127.0.0.1:${tlsPort} ssl; server_name localhost; ssl_certificate ${server.certFile}; ssl_certificate_key ${server.keyFile};
ssl_client_certificate ${ca.certFile}; ssl_verify_client on; ${site} } }`,
    );
    nginx = await startChild({ command: '/usr/sbin/nginx', args: ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], cwd: folder }); // prettier-ignore
    const isReady = async (): Promise<boolean> => {
      const relay = await startRelay([toMapping(port, { internalHost: 'localhost' })]);
      const { head } = await relay.ask({ target: '/who' });
      relay.stop();
      return head?.status === 200;
    };
    await waitUntilReady(nginx, isReady, 10_000);
  });
  after(async () => {
    await nginx.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('finds its site by the internal host, and is told the virtual one', async () => {
    await withRelay(toMapping(port, { internalHost: 'localhost' }), async (relay) => {
      const answer = await relay.ask({ target: '/who', fields: ['X-Forwarded-Host', 'evil.example'] });
      assert.equal(answer.body.toString(), 'localhost app.virtual:80 ');
    });
  });

  it('is shown our client certificate', async () => {
    const tls: ApplicationTls = { ca: ca.cert, key: new Secret(client.key), cert: client.cert };
    await withRelay(toHttps(tlsPort, tls), async (relay) => {
      assert.equal((await relay.ask({ target: '/who' })).body.toString(), 'localhost app.virtual:80 CN=agent');
    });
    await withRelay(toHttps(tlsPort, { ca: ca.cert }), async (relay) => {
      assert.equal((await relay.ask({ target: '/who' })).head?.status, 400);
    });
  });

  it('hands out a file whole, in parts and not at all', async () => {
    await withRelay(toMapping(port, { internalHost: 'localhost' }), async (relay) => {
      const whole = await relay.ask({ target: '/large.bin' });
      assert.equal(whole.body.length, 5_000_000);
      const etag = whole.head?.fields[whole.head.fields.indexOf('ETag') + 1] ?? '';
      assert.equal(
        (await relay.ask({ target: '/large.bin', fields: ['Range', 'bytes=0-4'] })).body.toString(),
        'nginx',
      );
      assert.equal((await relay.ask({ target: '/large.bin', fields: ['If-None-Match', etag] })).head?.status, 304);
      assert.equal((await relay.ask({ target: '/large.bin', method: 'HEAD' })).head?.status, 200);
      assert.equal((await relay.ask({ target: '/gone' })).head?.status, 404);
      assert.equal((await relay.ask({ target: '/auth/x' })).head?.status, 401);
    });
  });

  it('serves many at one time', async () => {
    await withRelay(toMapping(port, { internalHost: 'localhost' }), async (relay) => {
      const answers = await Promise.all(
        Array.from({ length: 600 }, () => relay.call(toHead({ target: '/who' })).answer),
      );
      assert.ok(answers.every(({ head }) => head?.status === 200));
      assert.equal(relay.relay.inFlight, 0);
    });
  });
});
