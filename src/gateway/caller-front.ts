import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

import { AppError } from '../core/errors.ts';
import { type Logger, toFixedLogger, toLoggedPath } from '../http/access-log.ts';
import { parseHost, parsePort } from '../tunnel/host.ts';
import { parseAbsoluteTarget } from '../tunnel/target.ts';
import { authenticateCaller } from './caller-credential.ts';
import type { CallerDirectory } from './caller-registry.ts';
import type { Caller } from './connector.ts';
import type { DispatchDeps } from './dispatch.ts';
import type { Call } from './find-ways.ts';
import { leaveSocket } from './leave-socket.ts';
import { toErrorAnswer } from './relay-answers.ts';
import { UpgradeRelay } from './relay-upgrade.ts';
import type { RelayRecord } from './relay-record.ts';
import { Relay } from './relay.ts';

export interface CallerFrontDeps extends DispatchDeps {
  readonly callers: CallerDirectory;
  readonly logger: Logger;
  /** Counts what became of a relayed request: its status, or the code of its failure. */
  readonly countRelayed: (outcome: string) => void;
}

/** What stands before the gateway's own routes on the caller port. */
export interface CallerFront {
  /** Takes requests to relay. @returns false for what is for the gateway itself; nothing was done then */
  takeRequest(req: IncomingMessage, res: ServerResponse): boolean;
  /** Takes or refuses an upgrade to a web socket. */
  takeUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Refuses CONNECT: paths cannot be checked inside of it. */
  refuseConnect(req: IncomingMessage, socket: Duplex): void;
  /** Cuts what was upgraded: a server that closes does not know of it any more, and would wait for it. */
  cutUpgraded(): void;
}

/** `/{connector}/{virtualhost}/{virtualport}/path`; ids of connectors begin with `cn-`. */
const REVERSE = /^\/(cn-[\w-]{1,64})\/([^/?#]{1,300})\/(\d{1,5})(\/[^]*)?$/;
const ABSOLUTE = /^[a-z]+:\/\//i;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** The forward proxy and the reverse route. */
export function createCallerFront(deps: CallerFrontDeps): CallerFront {
  const upgraded = new Set<Duplex>();
  const toCall = (req: IncomingMessage): Call | Promise<Call> => {
    const { url = '', method = '', headers } = req;
    const isForward = ABSOLUTE.test(url);
    const { host, port, target, connectorId } = isForward ? parseForward(url, headers) : parseReverse(url);
    const upgrade = isUpgrade(req) ? headers.upgrade : undefined;
    // The last that can fail: it may have begun something, whose failure somebody must wait for.
    const field = isForward ? 'proxy-authorization' : 'x-connector-authorization';
    const caller = authenticateCaller(req, field, deps.callers);
    const by = (found: Caller): Call => ({ host, port, target, connectorId, method, upgrade, caller: found });
    return caller instanceof Promise ? caller.then(by) : by(caller);
  };

  // Its members are those of toLine.
  const logger = toFixedLogger(deps.logger);
  const log = (req: IncomingMessage, requestId: string) => (record: RelayRecord) => {
    const { failure, status, isAborted } = record;
    deps.countRelayed(failure?.code ?? (isAborted ? 'aborted' : String(status)));
    logger.info(toLine(req, requestId, record), 'relayed');
  };

  return {
    takeRequest: (req, res) => {
      const { url = '' } = req;
      if (!ABSOLUTE.test(url) && !REVERSE.test(url)) return false;
      const begin = (): void => {
        const requestId = toRequestId(req);
        new Relay(req, res, log(req, requestId)).start(deps, () => toCall(req), requestId);
      };
      // SECURITY: an answer that waits behind another one is told of nothing, not even of the end of its connection.
      if (res.socket === null) res.once('socket', begin);
      else begin();
      return true;
    },
    takeUpgrade: (req, socket, head) => {
      upgraded.add(socket);
      socket.once('close', () => upgraded.delete(socket));
      const requestId = toRequestId(req);
      new UpgradeRelay({ req, socket, head }, log(req, requestId)).start(deps, () => toCall(req), requestId);
    },
    cutUpgraded: () => {
      for (const socket of upgraded) socket.destroy();
    },
    refuseConnect: (_req, socket) => {
      // SECURITY: an earlier request has not been answered yet: this would be taken for its answer, or stand inside of it.
      if ((socket as { _httpMessage?: unknown })._httpMessage) {
        socket.destroy();
        return;
      }
      const allow = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
      const { status, fields, body } = toErrorAnswer(new AppError('tunnel_refused', { values: { allow } }));
      const lines = fields.map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('');
      socket.on('error', () => undefined);
      leaveSocket(socket, `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}Connection: close\r\n\r\n${body}`);
    },
  };
}

function readConnector({ 'x-connector': named }: IncomingMessage['headers']): string | undefined {
  return typeof named === 'string' ? named : undefined;
}

type Where = Pick<Call, 'connectorId' | 'host' | 'port' | 'target'>;

/** @throws AppError invalid_request */
function parseForward(url: string, headers: IncomingMessage['headers']): Where {
  const { host, port, target } = parseAbsoluteTarget(url);
  return { connectorId: readConnector(headers), host, port, target };
}

/** @throws AppError invalid_request */
function parseReverse(url: string): Where {
  const [, connectorId, hostText = '', portText = '', target = '/'] = REVERSE.exec(url) ?? [];
  const host = parseHost(hostText);
  const port = parsePort(portText);
  if (host === undefined || port === undefined) {
    throw new AppError('invalid_request', { values: { detail: 'the path is not /{connector}/{host}/{port}/…' } });
  }
  return { connectorId, host, port, target };
}

/** Whether Node's parser took the request for one that upgrades. */
function isUpgrade({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.connection ?? '');
}

function toRequestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** What is logged of a relayed request: no field, no query, no body. */
function toLine(req: IncomingMessage, requestId: string, record: RelayRecord): object {
  const { call, failure, isAborted } = record;
  const line = {
    requestId,
    ip: req.socket.remoteAddress,
    method: req.method,
    host: call === undefined ? undefined : `${call.host}:${call.port}`,
    path: call && toLoggedPath(call.target),
    caller: call?.caller.id,
    connectorId: record.connectorId,
    way: record.way,
    status: record.status,
    requestBytes: record.requestBytes,
    responseBytes: record.responseBytes,
    ms: Math.round(record.durationMs),
  };
  if (failure === undefined && !isAborted) return line;
  return {
    ...line,
    ...(isAborted && { isAborted }),
    ...(failure !== undefined && { failure: failure.code, detail: failure.detail ?? failure.values.detail }),
  };
}
