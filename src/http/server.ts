import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Express, Request, Response } from 'express';

import { createExpressClasses } from './express-classes.ts';
import { answerInTurns } from './answer-in-turns.ts';
import { handleUpgrades, MAX_HEADER_FIELDS, type UpgradeHandler } from './upgrade.ts';

/** All header fields of a request together, in bytes. */
export const MAX_REQUEST_HEADER_BYTES = 16_384;
/** The same where web sockets are accepted: a socket's header fields hold the whole assertion, in bytes. */
export const MAX_SOCKET_HEADER_BYTES = 65_536;
/** Connections at one time; further ones are closed at once. */
export const MAX_CONNECTIONS = 10_000;
/** Until the header fields have come, in milliseconds. */
export const HEADERS_TIMEOUT_MS = 10_000;
/** Until the whole request has come, in milliseconds. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** How long an idle connection is kept, in milliseconds: longer than the usual load balancer's 60 s. */
export const KEEP_ALIVE_TIMEOUT_MS = 65_000;
/** How long requests in flight may take to finish once the server stops, in milliseconds. */
export const SHUTDOWN_GRACE_MS = 8_000;

/** How often connections are held against those limits, in milliseconds; Node's own 30 s would stretch every one of them. */
export const CHECK_CONNECTIONS_EVERY_MS = 2_000;

/** The limits in time of a server, in milliseconds. */
export interface ServerLimits {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly checkEveryMs: number;
  readonly shutdownGraceMs: number;
}

/** What a server may need beside its app. */
export interface ServerOptions extends Partial<ServerLimits> {
  /** All header fields of a request together, in bytes; {@link MAX_REQUEST_HEADER_BYTES} where it is left out. */
  readonly maxHeaderBytes?: number;
  /** Absent: there is nothing to upgrade to, and the request is answered as it is. */
  readonly onUpgrade?: UpgradeHandler;
  /** Takes a request before the app sees it. @returns false for what is the app's; nothing was done then */
  readonly takeRequest?: (req: IncomingMessage, res: ServerResponse) => boolean;
  /** The field of an answer to what Node cannot read that holds the name of the failure. Absent: there is none. */
  readonly errorField?: string;
  /** Answers CONNECT. Absent: such a connection is closed, as Node does. */
  readonly onConnect?: (req: IncomingMessage, socket: Duplex) => void;
}

const LIMITS: ServerLimits = {
  headersTimeoutMs: HEADERS_TIMEOUT_MS,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  checkEveryMs: CHECK_CONNECTIONS_EVERY_MS,
  shutdownGraceMs: SHUTDOWN_GRACE_MS,
};

/** Where a server listens. Port 0 takes a free one. */
export interface ListenAt {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A server that listens. */
export interface RunningServer {
  readonly port: number;
  /** `http://127.0.0.1:3000`, without a slash at its end. */
  readonly url: string;
  /** Takes no more connections, finishes what is in flight, then resolves; after {@link SHUTDOWN_GRACE_MS} it cuts. */
  close(): Promise<void>;
}

/** Where a server that listens on every address is reached from this machine. */
const REACHED_AT: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** The URL of a server that listens there, without a slash at its end. */
export function toServerUrl({ host, port, tls }: ListenAt): string {
  const reached = REACHED_AT[host] ?? host;
  return `${tls ? 'https' : 'http'}://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/** Listens with an Express app, at the speed of node:http (see {@link createExpressClasses}). */
export async function startServer(app: Express, at: ListenAt, chosen: ServerOptions = {}): Promise<RunningServer> {
  const { maxHeaderBytes = MAX_REQUEST_HEADER_BYTES, onUpgrade, takeRequest, onConnect, errorField } = chosen;
  const limits = { ...LIMITS, ...chosen };
  const options = {
    ...createExpressClasses(app),
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // The app refuses it with a body that says why.
    requireHostHeader: false,
  };
  // Without a last handler of ours Express makes one for every request, and it answers HTML.
  const answer = (req: Request, res: Response): void => {
    if (takeRequest?.(req, res) !== true) app(req, res, (error?: unknown) => answerLast(res, error));
  };
  const server: Server = at.tls
    ? createHttpsServer({ ...options, ...at.tls, minVersion: 'TLSv1.2' })
    : createHttpServer(options);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    // Again, where a request was put back into it.
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.maxHeadersCount = MAX_HEADER_FIELDS;
  server.on('request', answerInTurns(answer));
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket, errorField));
  if (onUpgrade) handleUpgrades(server, onUpgrade);
  // An expectation that nobody knows may be passed over (RFC 9110 §10.1.1).
  server.on('checkExpectation', answer);
  if (takeRequest) {
    // What is relayed is continued by whoever it is relayed to.
    server.on('checkContinue', (req: Request, res: Response) => {
      if (takeRequest(req, res)) return;
      res.writeContinue();
      answer(req, res);
    });
  }
  if (onConnect) server.on('connect', onConnect);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host: at.host, port: at.port }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: toServerUrl({ ...at, port }),
    close: () => closeGracefully(server, sockets, limits.shutdownGraceMs),
  };
}

/** Statuses for what Node's parser refuses before a request exists (RFC 9110, RFC 6585). */
const UNREADABLE: Readonly<Record<string, readonly [status: number, reason: string, failure: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'head_too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'request_timeout'],
};

function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex, errorField: string | undefined): void {
  // SECURITY: an answer that has begun must not be continued with another one.
  const { _httpMessage: current } = socket as { _httpMessage?: { headersSent: boolean } | null };
  if (!socket.writable || error.code === 'ECONNRESET' || current?.headersSent) {
    socket.destroy();
    return;
  }
  const [status, reason, failure] = UNREADABLE[error.code ?? ''] ?? [400, 'Bad Request', 'invalid_request'];
  const field = errorField === undefined ? '' : `${errorField}: ${failure}\r\n`;
  const body = JSON.stringify({ errors: [{ msg: 'the request cannot be read', code: status }] });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `${field}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** What passes every handler of an app: a request target without a path, and a failure of the error handler itself. */
function answerLast(res: ServerResponse, error: unknown): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const [status, msg] = error === undefined ? [400, 'the request cannot be read'] : [500, 'internal error'];
  const headers = { 'Content-Type': 'application/json; charset=utf-8', Connection: 'close' };
  const body = JSON.stringify({ errors: [{ msg, code: status }] });
  res.writeHead(status, { ...headers, 'Content-Length': body.length }).end(body);
}

async function closeGracefully(server: Server, sockets: ReadonlySet<Socket>, graceMs: number): Promise<void> {
  // A connection that is kept alive would take the next request: tell its owner to go elsewhere.
  server.prependListener('request', (_req, res) => res.setHeader('Connection', 'close'));
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection on which nothing was ever said is no idle one to Node: browsers and load balancers open them ahead.
  for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(cut);
}
