import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { WebSocketServer } from 'ws';

const HOST = '127.0.0.1';

/** What the application saw of a request. */
export interface Shown {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** Name, value, name, value …, as they came. */
  readonly fields: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
  readonly trailers: readonly string[];
}

/** An application that shows what it was asked, but where a test takes a path. */
export interface TestOrigin {
  readonly port: number;
  /** Requests that came, by their target. */
  readonly targets: readonly string[];
  /** Takes a path. */
  on(path: string, listener: RequestListener): void;
  /** Takes a path for requests that wait for a 100. */
  onContinue(path: string, listener: RequestListener): void;
  stop(): Promise<void>;
}

/** Reads a body to its end. */
export async function readBody(req: IncomingMessage): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function show(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const read = await readBody(req);
  const shown: Shown = {
    method: req.method ?? '',
    target: req.url ?? '',
    version: req.httpVersion,
    fields: req.rawHeaders,
    ...read,
    trailers: req.rawTrailers,
  };
  const body = JSON.stringify(shown);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  res.end(req.method === 'HEAD' ? undefined : body);
}

/** Starts it on a free port. Web sockets are echoed. Whoever starts it stops it. */
export async function startTestOrigin(): Promise<TestOrigin> {
  const listeners = new Map<string, RequestListener>();
  const continuing = new Map<string, RequestListener>();
  const targets: string[] = [];
  const take =
    (taken: ReadonlyMap<string, RequestListener>, otherwise: RequestListener): RequestListener =>
    (req, res) => {
      const { url = '' } = req;
      targets.push(url);
      // Whoever aborts does so on purpose.
      req.on('error', () => undefined);
      res.on('error', () => undefined);
      (taken.get(url.split('?', 1)[0] ?? '') ?? otherwise)(req, res);
    };
  const showQuietly: RequestListener = (req, res) => void show(req, res).catch(() => res.destroy());
  const server = createServer(take(listeners, showQuietly));
  server.on(
    'checkContinue',
    take(continuing, (req, res) => {
      res.writeContinue();
      showQuietly(req, res);
    }),
  );
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (req, socket, head) => {
    targets.push(req.url ?? '');
    sockets.handleUpgrade(req, socket, head, (client) => {
      client.on('message', (data: Buffer, isBinary) => client.send(data, { binary: isBinary }));
    });
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    on: (path, listener) => void listeners.set(path, listener),
    onContinue: (path, listener) => void continuing.set(path, listener),
    stop: async () => {
      for (const client of sockets.clients) client.terminate();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
