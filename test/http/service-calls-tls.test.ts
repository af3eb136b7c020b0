import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import type { ServerOptions } from 'node:https';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createSecureContext, type SecureVersion, type TLSSocket } from 'node:tls';

import type { Issued } from '../support/certificate-authority.ts';
import { startChild, waitUntilReady } from '../support/child.ts';
import { createTempFolder, getFreePort } from '../support/processes.ts';
import {
  type Answer,
  type Certificates,
  createCertificates,
  startGateway,
  startService,
} from './service-calls-under-test.ts';

let certificates: Certificates;
before(async () => {
  certificates = await createCertificates();
});
after(() => certificates.remove());

const canConnect = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => done(true)).on('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });

/** A service that asks for a client certificate and takes no connection without a good one. @returns its port */
type Start = (t: TestContext, version: SecureVersion) => Promise<number>;

const startNode: Start = async (t, version) => {
  const { ca, server } = certificates;
  const versions = { minVersion: version, maxVersion: version };
  const options: ServerOptions = { key: server.key, cert: server.cert, ca: ca.cert, requestCert: true, ...versions };
  const { port } = await startService(t, options, (req, res) => {
    res.end((req.socket as TLSSocket).getPeerCertificate().subject.CN);
  });
  return port;
};

const startOpenssl: Start = async (t, version) => {
  const { ca, server } = certificates;
  const port = await getFreePort();
  const tls = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
  const args = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', server.certFile, '-key', server.keyFile, tls];
  const child = await startChild({ command: 'openssl', args: [...args, '-CAfile', ca.certFile, '-Verify', '3', '-verify_return_error', '-www'], cwd: ca.folder }); // prettier-ignore
  t.after(() => child.kill());
  await waitUntilReady(child, () => Promise.resolve(child.stdout().includes('ACCEPT')), 10_000);
  return port;
};

const startNginx: Start = async (t, version) => {
  const { ca, server } = certificates;
  const folder = await createTempFolder();
  const port = await getFreePort();
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  await mkdir(join(folder, 'logs'), { recursive: true });
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log ${join(folder, 'error.log')};
events {}
http { access_log off; ${paths.join(' ')}
  server { listen 127.0.0.1:${port} ssl; ssl_protocols ${version};
    ssl_certificate ${server.certFile}; ssl_certificate_key ${server.keyFile};
    ssl_client_certificate ${ca.certFile}; ssl_verify_client on; ssl_verify_depth 3;
    location / { return 200 "$ssl_client_s_dn"; } } }`,
  );
  const child = await startChild({ command: 'nginx', args: ['-p', folder, '-c', join(folder, 'nginx.conf')], cwd: folder }); // prettier-ignore
  t.after(async () => {
    await child.kill();
    await rm(folder, { recursive: true, force: true });
  });
  await waitUntilReady(child, () => canConnect(port), 10_000);
  return port;
};

const MISSING = /^the service asks for a client certificate, and none is configured$/;
const REFUSED = /^the service does not accept our client certificate: it does not know the certificate's authority$/;
const HINTED = /^the service broke off: it had asked for a client certificate, and closed/;

/** What each kind of service does with a good certificate, with none, and with one of an authority that it does not know. */
const SERVERS: Readonly<
  Record<string, { start: Start; good: RegExp; none: RegExp | number; strange: RegExp | number }>
> = {
  'node:https': { start: startNode, good: /^bots$/, none: MISSING, strange: HINTED },
  'openssl s_server': { start: startOpenssl, good: /Client certificate/, none: MISSING, strange: REFUSED },
  nginx: { start: startNginx, good: /^CN=bots$/, none: 400, strange: 400 },
};

for (const [name, { start, good, none, strange }] of Object.entries(SERVERS)) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    describe(`${name} that wants a client certificate, ${version}`, () => {
      const ask = async (t: TestContext, identities: string, identity?: string): Promise<Answer> => {
        const port = await start(t, version);
        const plainContext = createSecureContext({ ca: certificates.ca.cert, minVersion: 'TLSv1.2' });
        const gateway = await startGateway(t, { identities, hosts: [`localhost:${port}`], plainContext });
        return gateway.call({ url: `https://localhost:${port}/`, ...(identity !== undefined && { identity }) });
      };
      const check = (answer: Answer, expected: RegExp | number): void => {
        if (typeof expected === 'number') {
          assert.equal(answer.status, 200, answer.text);
          assert.equal(answer.json['status'], expected);
        } else {
          assert.equal(answer.status, 502, answer.text);
          assert.match(answer.msg, expected);
        }
      };

      it('gets ours, with its intermediate, and answers', async (t) => {
        const answer = await ask(t, certificates.identities);
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.json['status'], 200);
        assert.match(String(answer.json['body']), good);
      });
      it('is told apart where none is configured', async (t) => check(await ask(t, certificates.named), none));
      it('is told apart where it does not know our authority', async (t) =>
        check(await ask(t, certificates.identities, 'strange'), strange));
    });
  }
}

describe('a service', () => {
  /** Starts one and calls it; the sentence of the failure. */
  const fail = async (
    t: TestContext,
    port: number,
    how: { host?: string; identity?: string; limits?: object } = {},
  ) => {
    const { host = 'localhost', identity, limits = {} } = how;
    const gateway = await startGateway(t, { identities: certificates.identities, hosts: [`${host}:${port}`], limits });
    const call = { method: 'POST', url: `https://${host}:${port}/secret-path?secret-query`, body: 'secret-body' };
    const headers = { authorization: 'Bearer secret-header' };
    const answer = await gateway.call({ ...call, headers, ...(identity !== undefined && { identity }) });
    assert.doesNotMatch(answer.text, /secret/);
    assert.doesNotMatch(JSON.stringify(gateway.lines()), /secret|PRIVATE KEY/);
    return `${answer.status} ${answer.msg}`;
  };
  const serve = (t: TestContext, { key, cert }: Pick<Issued, 'key' | 'cert'>, options: ServerOptions = {}) =>
    startService(t, { key, cert, ...options }, (_req, res) => res.end('got it'));

  const UNTRUSTED: Readonly<Record<string, readonly [() => Promise<Issued>, RegExp, { host?: string; identity?: string }]>> = {
    'whose authority is not known': [() => Promise.resolve(certificates.server), /its authority is not known/, { identity: 'blind' }],
    'that signs itself': [() => Promise.resolve(certificates.stranger), /it signs itself/, {}],
    'that has expired': [
      () => certificates.ca.issue({ commonName: 'old', names: 'DNS:localhost', from: '20200101000000Z', to: '20210101000000Z' }),
      /it has expired/,
      {},
    ],
    'that is not valid yet': [
      () => certificates.ca.issue({ commonName: 'new', names: 'DNS:localhost', from: '20490101000000Z', to: '20491231000000Z' }),
      /it is not valid yet/,
      {},
    ],
    'that is for another name': [() => Promise.resolve(certificates.server), /it is for another name/, { host: 'other.test=127.0.0.1' }],
    'without its intermediate': [
      () => certificates.ca.issue({ commonName: 'deep', names: 'DNS:localhost' }, certificates.intermediate),
      /came without its intermediates/,
      {},
    ],
  }; // prettier-ignore
  for (const [name, [issue, sentence, { host = 'localhost', identity }]] of Object.entries(UNTRUSTED)) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      it(`with a certificate ${name} gets not a byte of the request, ${version}`, async (t) => {
        const { port, counted } = await serve(t, await issue(), { minVersion: version, maxVersion: version });
        const [plain = '', range] = host.split('=');
        const hosts = [range === undefined ? `${plain}:${port}` : `${plain}:${port}=${range}`];
        const gateway = await startGateway(t, { identities: certificates.identities, hosts });
        const call = { method: 'POST', url: `https://${plain}:${port}/`, body: 'x' };
        const answer = await gateway.call({ ...call, ...(identity !== undefined && { identity }) });
        assert.equal(answer.status, 502);
        assert.match(answer.msg, /^the service's certificate is not trusted: /);
        assert.match(answer.msg, sentence);
        assert.equal(counted.received, 0);
      });
    }
  }

  it('that does not listen is not reachable', async (t) =>
    assert.match(await fail(t, await getFreePort()), /^502 the service cannot be reached: it refuses connections$/));

  it('that speaks no TLS is not reachable', async (t) =>
    assert.match(await fail(t, await listen(t, (socket) => socket.end('HTTP/1.1 400 Bad\r\n\r\n'))), /^502 the service cannot be reached: no TLS connection/)); // prettier-ignore

  it('that speaks TLS 1.1 alone is not reachable', async (t) => {
    const options = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const { port } = await serve(t, certificates.server, options);
    assert.match(await fail(t, port), /^502 the service cannot be reached: no TLS connection/);
  });

  it('that says nothing is given up: at the handshake', async (t) =>
    assert.match(await fail(t, await listen(t, () => undefined), { limits: { connectMs: 100 } }), /^504 the service took too long$/)); // prettier-ignore

  const SILENT = { answer: { answerMs: 100 }, idle: { idleMs: 100 }, whole: { totalMs: 300 } } as const;
  for (const [name, limits] of Object.entries(SILENT)) {
    it(`that says nothing is given up: ${name}`, async (t) => {
      const { key, cert } = certificates.server;
      const { port } = await startService(t, { key, cert }, () => undefined);
      assert.match(await fail(t, port, { limits }), /^504 the service took too long$/);
    });
  }

  it('whose answer stops in the middle is given up', async (t) => {
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (_req, res) => void res.write('half'));
    assert.match(await fail(t, port, { limits: { idleMs: 100 } }), /^504 the service took too long$/);
  });

  it('that closes without an answer has broken off', async (t) => {
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (req) => req.socket.destroy());
    assert.match(await fail(t, port), /^502 the service broke off: it closed the connection without a whole answer$/);
  });

  it('whose answer ends early has broken off', async (t) => {
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (_req, res) => {
      res.writeHead(200, { 'content-length': '10' }).write('half', () => res.destroy());
    });
    assert.match(await fail(t, port), /^502 the service broke off: its answer ended early$/);
  });

  const CUT: Record<string, (socket: Socket) => void> = {
    'a reset behind a body without a length': (socket) =>
      // Of a TLS socket nothing but what is below it can be reset.
      void socket.write('HTTP/1.0 200 OK\r\n\r\nhalf', () =>
        (socket as unknown as { _parent: Socket })._parent.resetAndDestroy(),
      ),
  };
  for (const [name, answer] of Object.entries(CUT)) {
    it(`whose answer is cut has broken off: ${name}`, async (t) => {
      const { key, cert } = certificates.server;
      const { port } = await startService(t, { key, cert }, (req) => answer(req.socket));
      assert.match(await fail(t, port), /^502 the service broke off: its answer ended early$/);
    });
  }

  it('whose answer has a coding of which nobody would learn has broken off', async (t) => {
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (req) => {
      req.socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
    });
    assert.match(await fail(t, port), /^502 the service broke off: its answer has a transfer coding/);
  });

  it('whose header fields are too large has broken off', async (t) => {
    const { key, cert } = certificates.server;
    const { port } = await startService(t, { key, cert }, (_req, res) =>
      res.setHeader('x-big', 'x'.repeat(9_000)).end(),
    );
    assert.match(await fail(t, port), /^502 the service broke off: its answer is not HTTP/);
  });
});

/** A TCP server on a free port. */
async function listen(t: TestContext, onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    onSocket(socket);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
