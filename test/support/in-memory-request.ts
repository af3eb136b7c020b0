import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';

import type { Express } from 'express';

import { createExpressClasses } from '../../src/http/express-classes.ts';

/** A request as a client would send it; header names in small letters. */
export interface MemoryRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface MemoryAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

const classesOf = new WeakMap<Express, ReturnType<typeof createExpressClasses>>();

/** Hands a request to an app without any network, as a server of the product does: for cases by the ten thousand. */
export function sendInMemory(app: Express, request: MemoryRequest): Promise<MemoryAnswer> {
  const { IncomingMessage, ServerResponse } = classesOf.get(app) ?? createExpressClasses(app);
  if (!classesOf.has(app)) classesOf.set(app, { IncomingMessage, ServerResponse });
  const { method, path, headers = {}, body } = request;
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '127.0.0.1' });
  const req = new IncomingMessage(socket);
  const all: Record<string, string> = { host: 'idproxy.example', ...headers };
  if (body !== undefined) all['content-length'] ??= String(Buffer.byteLength(body));
  Object.assign(req, { method, url: path, httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 });
  req.headers = all;
  req.headersDistinct = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]]));
  req.rawHeaders = Object.entries(all).flat();
  const res = new ServerResponse(req);
  const chunks: Buffer[] = [];
  return new Promise((done, fail) => {
    // What would go through the socket ends here.
    res.write = (chunk: unknown) => chunks.push(toBytes(chunk)) > 0;
    res.end = ((chunk?: unknown) => {
      if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') chunks.push(toBytes(chunk));
      if (!res.headersSent) res.writeHead(res.statusCode);
      res.emit('finish');
      res.emit('close');
      socket.destroy();
      done({ status: res.statusCode, headers: readHead(res), text: Buffer.concat(chunks).toString() });
      return res;
    }) as ServerResponse['end'];
    socket.once('error', fail);
    if (body !== undefined) req.push(body);
    req.push(null);
    req.complete = true;
    try {
      app(req as Parameters<Express>[0], res as Parameters<Express>[1]);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

const toBytes = (chunk: unknown): Buffer =>
  typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk as Uint8Array);

/** The header fields as they would have gone out, names in small letters. */
function readHead(res: ServerResponse): Record<string, string> {
  const { _header: head = '' } = res as unknown as { readonly _header?: string };
  const fields = head.split('\r\n').flatMap((line) => /^([^:]+): (.*)$/.exec(line)?.slice(1, 3) ?? []);
  const pairs = fields.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), fields[at + 1] ?? '']] : []));
  return Object.fromEntries(pairs) as Record<string, string>;
}
