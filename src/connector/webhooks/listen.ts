import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { isLoopbackAuthority } from '../../core/loopback.ts';
import { MAX_CARRIED_FIELDS, MAX_CARRIED_LENGTH, MAX_WEBHOOK_BYTES, toCarriedFields } from '../../tunnel/services.ts';
import type { WebhookRoute } from '../config/agent-config.ts';
import type { AuditEntry } from '../logs/audit-entry.ts';
import { toKeyHash } from './key-memory.ts';
import { KeyReusedError, type Pushed, type Spool, SpoolFullError } from './spool.ts';
import { toTargetName } from './target-name.ts';

/** Pushes that are taken at one time; each may hold a whole message in memory. */
export const MAX_PUSHES = 32;
/** Connections of applications at one time. */
export const MAX_PUSH_CONNECTIONS = 256;
/** Until the whole of a push has come, in milliseconds. */
export const PUSH_TIMEOUT_MS = 30_000;
/** How long the end of the agent waits for pushes that are coming, in milliseconds. */
export const LAST_PUSHES_MS = 5_000;
/** When an application may come back that found the spool full, in seconds. */
export const SPOOL_RETRY_SECONDS = 30;
/** The longest `Idempotency-Key`, in characters. */
export const MAX_KEY_LENGTH = 255;

const HOST = '127.0.0.1';
const BUSY_RETRY_SECONDS = 1;
/** What errors of a disk without room are called. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);

/** A push that is not taken: what the application is told. */
class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

export interface ListenDeps {
  /** 0 has the system choose one. */
  readonly port: number;
  /** Those in force: they may change. */
  readonly routes: () => readonly WebhookRoute[];
  readonly spool: Pick<Spool, 'add'>;
  /** SECURITY: while it is false nothing is taken: it could not be written down. */
  readonly canRecord: () => boolean;
  readonly audit: (fields: AuditEntry) => void;
  readonly onFailure: (error: unknown) => void;
}

export interface WebhookListener {
  readonly port: number;
  /** Takes no more pushes; resolves when those under way have an answer. */
  close(): Promise<void>;
}

/** Listens for pushes on the loopback address. @throws what the system says, such as that the port is taken */
export async function listenForPushes(deps: ListenDeps): Promise<WebhookListener> {
  let taken = 0;
  const server: Server = createServer({ requestTimeout: PUSH_TIMEOUT_MS, headersTimeout: PUSH_TIMEOUT_MS / 2 });
  server.maxConnections = MAX_PUSH_CONNECTIONS;
  const handle = async (req: IncomingMessage, res: ServerResponse, isWaiting = false): Promise<void> => {
    const route = findRoute(req, deps.routes());
    const about = { path: route?.path, target: route && toTargetName(route.target) };
    try {
      if (taken >= MAX_PUSHES || !deps.canRecord()) throw refuseForNow(503, 'too busy', BUSY_RETRY_SECONDS);
      taken++;
      try {
        const pushed = await readPush(req, res, route, isWaiting);
        const { id, isNew } = await deps.spool.add(pushed);
        deps.audit({ ...about, verdict: isNew ? 'accepted' : 'duplicate', id, bytes: pushed.body.length });
        answer(res, 202, { id });
      } finally {
        taken--;
      }
    } catch (error) {
      if (req.destroyed && !req.complete) return;
      const refusal = toRefusal(error);
      const isDisk = refusal.status >= 500 && !(error instanceof Refusal) && !(error instanceof SpoolFullError);
      if (isDisk) deps.onFailure(error);
      if (route !== undefined && deps.canRecord()) {
        deps.audit({ ...about, verdict: 'refused', status: refusal.status, why: refusal.message });
      }
      // What was not read must not be taken for the next request.
      if (!req.complete) res.setHeader('Connection', 'close');
      const { status, message, fields } = refusal;
      answer(res, status, { errors: [{ msg: message, code: status }] }, fields);
    }
  };
  server.on('request', (req, res) => void handle(req, res));
  server.on('checkContinue', (req, res) => void handle(req, res, true));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host: HOST, port: deps.port, exclusive: true }, resolve);
  });
  server.on('error', deps.onFailure);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), LAST_PUSHES_MS).unref();
      }),
  };
}

const toPath = (url: string): string => url.split('?', 1)[0] ?? '';
const findRoute = ({ url = '' }: IncomingMessage, routes: readonly WebhookRoute[]): WebhookRoute | undefined =>
  routes.find(({ path }) => path === toPath(url));

const refuseForNow = (status: number, message: string, seconds: number): Refusal =>
  new Refusal(status, message, { 'Retry-After': String(seconds) });

/** @throws Refusal */
async function readPush(
  req: IncomingMessage,
  res: ServerResponse,
  route: WebhookRoute | undefined,
  isWaiting: boolean,
): Promise<Pushed> {
  const { headers, method, url = '' } = req;
  // SECURITY: pages of the web reach this port from the browsers of this machine, also under names of their own.
  const isFromBrowser = headers.origin !== undefined || headers['sec-fetch-site'] !== undefined;
  if (isFromBrowser || !isLoopbackAuthority(headers.host ?? '')) {
    throw new Refusal(403, 'only programs of this machine may push, to http://127.0.0.1');
  }
  if (route === undefined) throw new Refusal(404, 'there is no route of this path');
  if (method !== 'POST') throw new Refusal(405, 'use POST here', { Allow: 'POST' });
  if (url.includes('?')) throw new Refusal(400, 'a query is not delivered; put it into the body');
  const key = headers['idempotency-key'];
  if (Array.isArray(key) || key === '' || (key?.length ?? 0) > MAX_KEY_LENGTH) {
    throw new Refusal(400, `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} characters`);
  }
  const fields = toCarriedFields(req.rawHeaders);
  if (fields.length > MAX_CARRIED_FIELDS * 2 || fields.join('').length > MAX_CARRIED_LENGTH) {
    throw new Refusal(431, 'too many header fields that go with the message');
  }
  if (Number(headers['content-length'] ?? 0) > MAX_WEBHOOK_BYTES) throw tooLarge();
  if (isWaiting) res.writeContinue();
  const body = await readBody(req);
  return { target: route.target, fields, body, ...(key !== undefined && { key: toKeyHash(route.path, key) }) };
}

const tooLarge = (): Refusal => new Refusal(413, `a message may have ${MAX_WEBHOOK_BYTES} bytes`);

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  // Not left by an exception, which would end the connection before the answer.
  for await (const part of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_WEBHOOK_BYTES) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts, bytes);
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof SpoolFullError) return refuseForNow(503, 'the spool is full', SPOOL_RETRY_SECONDS);
  if (error instanceof KeyReusedError) return new Refusal(422, 'this Idempotency-Key was given with another body');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (NO_ROOM.has(code)) return refuseForNow(507, 'the disk is full', SPOOL_RETRY_SECONDS);
  return refuseForNow(503, 'the message could not be stored', SPOOL_RETRY_SECONDS);
}

function answer(
  res: ServerResponse,
  status: number,
  content: object,
  fields: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify(content);
  const length = Buffer.byteLength(body);
  res
    .writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': length, ...fields })
    .end(res.req.method === 'HEAD' ? undefined : body);
}
