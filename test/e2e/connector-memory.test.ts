import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';

import {
  type ConnectorChain,
  type GatewayProcess,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import type { Child } from '../support/child.ts';
import { readMemory, readPeakMemory, resetPeakMemory } from '../support/memory.ts';
import { connectRaw } from '../support/raw-client.ts';
import { readBody, startTestOrigin, type TestOrigin } from '../support/test-origin.ts';

const HOST = '127.0.0.1';
const ORIGIN = 'crm.virtual:8080';
/** What each side may have resident beyond what it has when it idles, in bytes. */
const MAX_GROWTH_BYTES = 100_000_000;
/** What each may have resident in all while a gigabyte goes through. What 150 MB would cost a gateway says docs/performance.md. */
const MAX_RESIDENT_BYTES = { gateway: 175_000_000, agent: 150_000_000 } as const;
const GIGABYTE = 1_000_000_000;
const CHUNK = Buffer.alloc(1_000_000, 'x');
/** More than the kernel's buffers on the way can hold, in bytes. */
const MORE_THAN_FITS_BYTES = 200_000_000;
const SLOW_CALLERS = 20;

let chain: ConnectorChain;
let origin: TestOrigin;
let gateway: GatewayProcess;
let agent: Child;
let token = '';
let idle: Readonly<Record<'gateway' | 'agent', number>>;

before(async () => {
  [chain, origin] = await Promise.all([startConnectorChain(), startTestOrigin()]);
  gateway = await chain.startGateway();
  const connector = await chain.addConnector();
  token = await chain.addCaller();
  const installed = await chain.install(connector, {
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
      },
    ],
  });
  agent = await installed.start();
  idle = { gateway: await readMemory(gateway.pid), agent: await readMemory(agent.pid) };
});
after(async () => {
  await Promise.all([chain.stop(), origin.stop()]);
});

const toRequest = (method: string, path: string, ...fields: readonly string[]): string =>
  [
    `${method} http://${ORIGIN}${path} HTTP/1.1`,
    `Host: ${ORIGIN}`,
    `Proxy-Authorization: Bearer ${token}`,
    ...fields,
    '',
    '',
  ].join('\r\n');

/** Runs something and holds both sides against the limit. */
async function withinMemory(
  t: TestContext,
  run: () => Promise<void>,
  most: Readonly<Partial<Record<'gateway' | 'agent', number>>> = {},
): Promise<void> {
  const sides = { gateway: gateway.pid, agent: agent.pid };
  await Promise.all(Object.values(sides).map(resetPeakMemory));
  const startedAt = performance.now();
  await run();
  const seconds = (performance.now() - startedAt) / 1_000;
  t.diagnostic(`${seconds.toFixed(1)} s`);
  for (const name of ['gateway', 'agent'] as const) {
    const peak = await readPeakMemory(sides[name]);
    const text = `${name}: ${toMegabytes(peak)} at most, ${toMegabytes(idle[name])} when it idles`;
    t.diagnostic(text);
    assert.ok(peak - idle[name] < MAX_GROWTH_BYTES, text);
    assert.ok(peak < (most[name] ?? Infinity), text);
  }
}

const toMegabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/** Writes a gigabyte, as fast as it is taken. */
async function writeGigabyte(to: ServerResponse | Socket): Promise<void> {
  for (let at = 0; at < GIGABYTE / CHUNK.length && !to.destroyed; at++) {
    if (to.write(CHUNK)) continue;
    await new Promise<void>((resolve) => {
      to.once('drain', resolve);
      if (at === 0) to.once('close', resolve);
    });
  }
}

describe('a gigabyte', () => {
  it('comes down within the memory of each side', async (t) => {
    origin.on('/down', (_, res) => {
      res.writeHead(200, { 'content-length': GIGABYTE });
      void writeGigabyte(res).then(() => res.end());
    });
    await withinMemory(
      t,
      async () => {
        const { socket } = await connectSilent();
        let bytes = 0;
        socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
        socket.write(toRequest('GET', '/down', 'Connection: close'));
        await once(socket, 'close');
        assert.ok(bytes >= GIGABYTE, `${bytes} bytes`);
      },
      MAX_RESIDENT_BYTES,
    );
  });

  it('goes up within the memory of each side', async (t) => {
    origin.on('/up', (req, res) => void readBody(req).then(({ bytes }) => res.end(`${bytes} bytes`)));
    await withinMemory(
      t,
      async () => {
        const client = await connectRaw(gateway.callerPort);
        client.send(toRequest('POST', '/up', `Content-Length: ${GIGABYTE}`, 'Connection: close'));
        await writeGigabyte(client.socket);
        assert.match(await client.waitForEnd(), new RegExp(`${GIGABYTE} bytes`));
      },
      MAX_RESIDENT_BYTES,
    );
  });
});

/** A client that keeps nothing of what comes. */
async function connectSilent(): Promise<{ socket: Socket }> {
  const { socket } = await connectRaw(gateway.callerPort);
  socket.removeAllListeners('data');
  (socket as { setEncoding(encoding?: string): void }).setEncoding('latin1');
  return { socket };
}

describe('whoever does not read', () => {
  it('a caller holds up the application, not the memory', async (t) => {
    let writtenBytes = 0;
    const responses = new Set<ServerResponse>();
    origin.on('/endless', (_, res) => {
      responses.add(res);
      const write = (): void => {
        do writtenBytes += CHUNK.length;
        while (res.write(CHUNK) && !res.destroyed);
      };
      res.on('drain', write);
      write();
    });
    await withinMemory(t, async () => {
      const callers = await Promise.all(Array.from({ length: SLOW_CALLERS }, () => connectRaw(gateway.callerPort)));
      for (const caller of callers) {
        caller.send(toRequest('GET', '/endless'));
        await caller.waitFor(/xxx/);
        caller.socket.pause();
      }
      await waitUntilStill(() => writtenBytes);
      // A quick one is served beside them.
      const quick = await connectRaw(gateway.callerPort);
      quick.send(toRequest('GET', '/show', 'Connection: close'));
      assert.match(await quick.waitForEnd(), /^HTTP\/1\.1 200 /);
      for (const { socket } of callers) socket.destroy();
      await waitUntil('the application knows', () => [...responses].every(({ destroyed }) => destroyed));
    });
    t.diagnostic(`${Math.round(writtenBytes / SLOW_CALLERS / 1e6)} MB of each answer were on the way`);
  });

  it('an application holds up the caller, not the memory', async (t) => {
    const requests: IncomingMessage[] = [];
    origin.on('/deaf', (req) => void requests.push(req.pause()));
    let writtenBytes = 0;
    await withinMemory(t, async () => {
      const callers = await Promise.all(Array.from({ length: SLOW_CALLERS }, () => connectRaw(gateway.callerPort)));
      for (const { socket } of callers) {
        socket.write(toRequest('POST', '/deaf', `Content-Length: ${GIGABYTE}`));
        const write = (): void => {
          do writtenBytes += CHUNK.length;
          while (socket.write(CHUNK) && !socket.destroyed);
        };
        socket.on('drain', write);
        write();
      }
      await waitUntil('all of them are there', () => requests.length === SLOW_CALLERS);
      await waitUntilStill(() => writtenBytes);
      for (const { socket } of callers) socket.destroy();
      for (const req of requests) req.resume();
      await waitUntil('the application knows', () => requests.every(({ destroyed }) => destroyed));
    });
    assert.ok(writtenBytes < SLOW_CALLERS * MORE_THAN_FITS_BYTES);
    t.diagnostic(`${Math.round(writtenBytes / SLOW_CALLERS / 1e6)} MB of each request were on the way`);
  });
});

/** Waits until a number has stayed as it is for a while. */
async function waitUntilStill(read: () => number): Promise<void> {
  const STILL_MS = 500;
  let [last, sinceMs] = [read(), performance.now()];
  await waitUntil('it stands still', () => {
    if (read() !== last) [last, sinceMs] = [read(), performance.now()];
    return performance.now() - sinceMs > STILL_MS;
  });
}
