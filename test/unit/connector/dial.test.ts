import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';

import type { ProxySettings } from '../../../src/connector/config/agent-config.ts';
import { DialError, type DialFault } from '../../../src/connector/dial-error.ts';
import { dial, type DialOptions } from '../../../src/connector/dial.ts';
import { isDirect, MAX_PROXY_HEAD_BYTES } from '../../../src/connector/proxy-connect.ts';
import { Secret } from '../../../src/core/secret.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificate-authority.ts';
import { startChild, waitUntilReady } from '../../support/child.ts';
import { type GatewayNode, startGatewayNode } from '../../support/gateway-node.ts';
import { createTempFolder, getFreePort } from '../../support/processes.ts';

const HOST = '127.0.0.1';
const PASSWORD = 'correct-horse';

let ca: CertificateAuthority;
let other: CertificateAuthority;
let gateway: GatewayNode;
let credentials: DialOptions['credentials'];
const servers: Server[] = [];
const sockets = new Set<Socket>();

/** A TCP server that does with each connection what a test says. @returns its port */
async function listen(onConnection: (socket: Socket) => void, host = HOST): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  servers.push(server);
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const toProxy = (port: number, changes: Partial<ProxySettings> = {}): ProxySettings => ({
  host: HOST,
  port,
  noProxy: [],
  ...changes,
});

async function failsWith(options: DialOptions, fault: DialFault, message: RegExp): Promise<void> {
  await assert.rejects(dial({ timeoutMs: 5_000, ...options }), (error: unknown) => {
    assert.ok(error instanceof DialError, String(error));
    assert.match(error.message, message);
    assert.equal(error.fault, fault);
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, new RegExp(PASSWORD));
    return true;
  });
}

before(async () => {
  ca = await createCertificateAuthority('ours');
  other = await createCertificateAuthority('another');
  gateway = await startGatewayNode(ca, { node: 'node-1' });
  const { key, cert } = await ca.issue({ commonName: 'cn-1', names: 'URI:urn:countersign:connector:cn-1' });
  credentials = { key: new Secret(key), cert, ca: ca.cert };
});
after(async () => {
  sockets.forEach((socket) => socket.destroy());
  servers.forEach((server) => server.close());
  await gateway.stop();
  await Promise.all([ca.remove(), other.remove()]);
});

describe('a dial to the gateway', () => {
  it('is TLS 1.3 with the agent protocol, and knows the node by its certificate', async () => {
    const { socket, node } = await dial({ url: gateway.url, credentials });
    assert.deepEqual([socket.getProtocol(), socket.alpnProtocol, node], ['TLSv1.3', 'connector/1', 'node-1']);
    socket.destroy();
  });

  it('goes to an IPv6 address', async () => {
    const port = await listen((socket) => socket.pipe(connectTo(gateway.port)).pipe(socket), '::1');
    const { socket } = await dial({ url: `https://[::1]:${port}`, credentials });
    socket.destroy();
  });

  it('is refused where the certificate is of another authority', async () => {
    await failsWith({ url: gateway.url, credentials: { ...credentials, ca: other.cert } }, 'untrusted', /ca\.crt/);
  });

  it('is refused where the name is not in the certificate', async () => {
    await failsWith({ url: `https://127.0.0.2:${gateway.port}`, credentials }, 'unreachable', /cannot be reached/);
    const port = await listen((socket) => socket.pipe(connectTo(gateway.port)).pipe(socket), '127.0.0.3');
    await failsWith({ url: `https://127.0.0.3:${port}`, credentials }, 'untrusted', /not trusted/);
  });

  it('is refused where the port is for something else', async () => {
    const { key, cert } = await ca.issue({ commonName: 'web', names: 'IP:127.0.0.1' });
    for (const ALPNProtocols of [undefined, ['h2']]) {
      const server = createTlsServer({ key, cert, ...(ALPNProtocols && { ALPNProtocols }) });
      server.on('connection', (socket: Socket) => sockets.add(socket)).on('tlsClientError', () => undefined);
      server.listen(0, HOST);
      await once(server, 'listening');
      servers.push(server);
      const url = `https://${HOST}:${(server.address() as AddressInfo).port}`;
      await failsWith({ url, credentials }, 'refused', /port/);
    }
  });

  const BAD_DAYS: Record<string, readonly [(socket: Socket) => void, DialFault, RegExp]> = {
    'says nothing (a black hole)': [() => undefined, 'timed_out', /did not answer in time/],
    'closes': [(socket) => socket.end(), 'unreachable', /cannot be reached|closed/],
    'resets': [(socket) => socket.resetAndDestroy(), 'unreachable', /cannot be reached|closed/],
    'speaks plain HTTP': [(socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'unreachable', /cannot be reached/],
  }; // prettier-ignore
  for (const [name, [onConnection, fault, message]] of Object.entries(BAD_DAYS)) {
    it(`fails in time where the gateway ${name}`, async () => {
      const url = `https://${HOST}:${await listen(onConnection)}`;
      await failsWith({ url, credentials, timeoutMs: 400 }, fault, message);
    });
  }

  it('is given up when it is asked to', async () => {
    const url = `https://${HOST}:${await listen(() => undefined)}`;
    const stop = new AbortController();
    const failing = failsWith({ url, credentials, signal: stop.signal }, 'stopped', /given up/);
    stop.abort();
    await failing;
  });
});

/** A connection to a port of this machine, for a relay. */
function connectTo(port: number): Socket {
  const socket = connect(port, HOST);
  sockets.add(socket);
  return socket.on('error', () => undefined);
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, HOST);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe('a dial through a proxy', () => {
  it('goes through a real tinyproxy with a password', async () => {
    const [folder, port] = [await createTempFolder(), await getFreePort()];
    const file = join(folder, 'tinyproxy.conf');
    await writeFile(file, `Port ${port}\nListen ${HOST}\nBasicAuth agent ${PASSWORD}\nMaxClients 20\n`);
    const proxy = await startChild({ command: 'tinyproxy', args: ['-d', '-c', file], cwd: folder });
    await waitUntilReady(proxy, () => isListening(port), 10_000);
    const good = toProxy(port, { user: 'agent', password: new Secret(PASSWORD) });
    const { socket, node } = await dial({ url: gateway.url, credentials, proxy: good });
    assert.equal(node, 'node-1');
    socket.destroy();
    const bad = { ...good, password: new Secret('wrong') };
    await failsWith(
      { url: gateway.url, credentials, proxy: toProxy(port) },
      'proxy',
      /answered 407.*user and a password/,
    );
    await failsWith({ url: gateway.url, credentials, proxy: bad }, 'proxy', /answered 40[17]/);
    await failsWith({ url: 'https://localhost:1', credentials, proxy: good }, 'proxy', /answered 50\d/);
    await proxy.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('says who it is, and what for', async () => {
    let asked = '';
    const port = await listen((socket) => {
      socket.on('data', (chunk: Buffer) => {
        asked += chunk.toString();
        socket.end('HTTP/1.1 403 No\r\n\r\n');
      });
    });
    const proxy = toProxy(port, { user: 'ag', password: new Secret(PASSWORD) });
    await failsWith(
      { url: 'https://[2001:db8::1]:8443', credentials, proxy },
      'proxy',
      /127\.0\.0\.1:\d+ answered 403.*permitted/,
    );
    const basic = Buffer.from(`ag:${PASSWORD}`).toString('base64');
    assert.equal(
      asked,
      `CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\nProxy-Authorization: Basic ${basic}\r\n\r\n`,
    );
  });

  it('takes an answer that comes byte by byte', async () => {
    const port = await listen((socket) => {
      socket.once('data', () => {
        const upstream = connectTo(gateway.port);
        const answer = 'HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n';
        const say = (at: number): void => {
          if (at < answer.length) socket.write(answer[at] ?? '', () => setImmediate(say, at + 1));
          else socket.pipe(upstream).pipe(socket);
        };
        say(0);
      });
    });
    const { socket } = await dial({ url: gateway.url, credentials, proxy: toProxy(port) });
    socket.destroy();
  });

  const ANSWERS: Record<string, readonly [string | undefined, DialFault, RegExp]> = {
    'with 407': ['HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n', 'proxy', /407: it asks for a user and a password/],
    'with 502': ['HTTP/1.1 502 Bad\r\n\r\n', 'proxy', /502: it cannot reach the gateway/],
    'with 302': ['HTTP/1.1 302 Found\r\nLocation: http://login\r\n\r\n', 'proxy', /302: it refuses/],
    'with garbage': ['SSH-2.0-OpenSSH_9.2\r\n\r\n', 'proxy', /does not answer as an HTTP proxy/],
    'with no line end': [`HTTP/1.1 200 ${'a'.repeat(2 * MAX_PROXY_HEAD_BYTES)}`, 'proxy', /more than 16384 bytes of head/],
    'with head fields without end': [`HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(4_000)}\r\n`, 'proxy', /more than 16384 bytes of head/],
    'with nothing': [undefined, 'timed_out', /the proxy 127\.0\.0\.1:\d+ did not answer in time/],
    'with something behind the head that is no TLS': ['HTTP/1.1 200 OK\r\n\r\nhello, agent, I am no gateway', 'unreachable', /cannot be reached/],
  }; // prettier-ignore
  for (const [name, [answer, fault, message]] of Object.entries(ANSWERS)) {
    it(`fails where the proxy answers ${name}`, async () => {
      const port = await listen((socket) => {
        socket.once('data', () => answer !== undefined && socket.write(answer));
      });
      await failsWith({ url: gateway.url, credentials, proxy: toProxy(port), timeoutMs: 500 }, fault, message);
    });
  }

  it('fails where the proxy closes, and where nobody listens', async () => {
    const port = await listen((socket) => socket.once('data', () => socket.end()));
    await failsWith({ url: gateway.url, credentials, proxy: toProxy(port) }, 'proxy', /closed the connection/);
    await failsWith({ url: gateway.url, credentials, proxy: toProxy(1) }, 'proxy', /127\.0\.0\.1:1 cannot be reached/);
  });

  const DIRECT: Record<string, readonly [string, readonly string[], boolean]> = {
    'the host itself': ['gw.example', ['gw.example'], true],
    'without case': ['GW.Example', ['gw.example'], true],
    'another host': ['gw.example', ['w.example'], false],
    'a suffix': ['a.gw.example', ['.gw.example'], true],
    'a suffix and the host that it is of': ['gw.example', ['.gw.example'], true],
    'a suffix with a star': ['a.gw.example', ['*.gw.example'], true],
    'a suffix inside a label': ['agw.example', ['.gw.example'], false],
    'a star': ['gw.example', ['*'], true],
    'nothing': ['gw.example', [], false],
    'an address': ['10.0.0.1', ['10.0.0.1'], true],
  }; // prettier-ignore
  for (const [name, [host, noProxy, expected]] of Object.entries(DIRECT)) {
    it(`knows who is dialled without it: ${name}`, () => assert.equal(isDirect(host, noProxy), expected));
  }

  it('is not asked for a host that is dialled without it', async () => {
    const { socket } = await dial({ url: gateway.url, credentials, proxy: toProxy(1, { noProxy: ['localhost'] }) });
    socket.destroy();
  });
});
