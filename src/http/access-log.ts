import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { RequestHandler, Response } from 'express';
import { type DestinationStream, pino, type Logger } from 'pino';
import { pinoHttp } from 'pino-http';

import type { AppError } from '../core/errors.ts';
import { addFields } from './header-fields.ts';

export type { Logger } from 'pino';

/** Levels of the log, as `COUNTERSIGN_LOG_LEVEL` takes them. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The longest path that is logged, in characters. */
const MAX_LOGGED_PATH = 256;
/** A request id from a proxy in front, if it is one. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;
/** The scheme and authority of a request target in absolute form (RFC 9112 §3.2.2). */
const ORIGIN = /^(?:[a-z][a-z\d+.-]*:\/\/[^/]*|\/\/[^/]*@[^/]*)/i;
/** What looks like a JWT, a bearer or an API key: someone may put one into a path. */
const TOKEN = /(?:eyJ|cs1_|csk_|csc_)[\w.-]{16,}/g;
/** Members that are censored wherever a log call should ever carry them. */
const REDACTED = [
  'assertion', 'jwt', 'token', 'access_token', 'accessToken', 'authorization', 'cookie', 'clientSecret', 'secret',
  'password', 'privateClaims', 'secureCustomData',
].flatMap((name) => [name, `*.${name}`]); // prettier-ignore

const FAILURE = Symbol('failure');
const CALLER = Symbol('caller');

/** The process's log: JSON lines, to the standard output unless told otherwise. */
export function createLogger(level: LogLevel, output?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: REDACTED, censor: '[redacted]' },
    },
    output,
  );
}

/**
 * The same log for lines whose members are fixed ones, none of them secret: there is nothing to censor, and looking costs
 * more than writing.
 */
export function toFixedLogger(logger: Logger, members: Readonly<Record<string, string>> = {}): Logger {
  return logger.child(members, { redact: [] });
}

/** Remembers why a request failed, for its one line in the log, and tells whoever listens. */
export function noteFailure(res: Response, error: AppError): void {
  (res as { [FAILURE]?: AppError })[FAILURE] = error;
  res.emit(FAILURE, error);
}

/** Calls `listener` when a request fails, also where whoever sent it did not wait for that. */
export function onFailure(res: Response, listener: (error: AppError) => void): void {
  res.once(FAILURE, listener);
}

/** Why a request failed, as it was noted. @returns undefined where it did not, or not yet */
export function readFailure(res: Response): AppError | undefined {
  return (res as { [FAILURE]?: AppError })[FAILURE];
}

/** Remembers the label of the credential that was used, for the request's line in the log. */
export function noteCaller(res: Response, label: string): void {
  (res as { [CALLER]?: string })[CALLER] = label;
}

/**
 * One line per request: id, address, method, path without its query, status, time, and why it failed. No header and no body
 * is ever logged. Sets `x-request-id`, taking over the one of a proxy in front.
 */
export function logRequests(logger: Logger, server: string): RequestHandler {
  const handler = pinoHttp<IncomingMessage, ServerResponse>({
    // Its members are those of toRequestProps.
    logger: toFixedLogger(logger, { server }),
    genReqId: giveRequestId,
    quietReqLogger: true,
    customAttributeKeys: { responseTime: 'ms' },
    serializers: { req: () => undefined, res: () => undefined, err: () => undefined },
    customLogLevel: (_req, res) => (res.statusCode === 503 ? 'warn' : res.statusCode >= 500 ? 'error' : 'info'),
    customSuccessMessage: () => 'request',
    customErrorMessage: () => 'request',
    // Not customProps: those are taken when the request comes, and once more when it ends.
    customSuccessObject: (req, res, { ms }: Timing) => toRequestProps(req, res, ms),
    customErrorObject: (req, res, _error, { ms }: Timing) => toRequestProps(req, res, ms),
  });
  // pino-http makes child loggers for every request, for `req.log`, which nobody uses here: about half of its time.
  Object.assign(handler.logger, { child: () => handler.logger });
  return function logRequestsHandler(req, res, next) {
    addFields(res, ['x-request-id', giveRequestId(req)]);
    handler(req, res, next);
  };
}

/** Writes the one line of a request that pino-http never saw, as it would have. */
export function createRequestLog(
  logger: Logger,
  server: string,
): (req: IncomingMessage, res: ServerResponse, ms: number) => void {
  const fixed = toFixedLogger(logger, { server });
  return (req, res, ms) => fixed.info(toRequestProps(req, res, Math.round(ms)), 'request');
}

/** The id of a request: the one that a proxy in front has given it, or a new one. */
export function giveRequestId(req: IncomingMessage & { id?: unknown }): string {
  if (typeof req.id === 'string') return req.id;
  const given = req.headers['x-request-id'];
  return (req.id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID());
}

interface Timing {
  readonly ms: number;
}

/** One literal for all but failures: put together out of several objects it took 7 µs. */
function toRequestProps(req: IncomingMessage, res: ServerResponse, ms: number): object {
  const props = {
    ms,
    requestId: (req as { id?: unknown }).id,
    ip: (req as { ip?: string }).ip,
    method: req.method,
    path: toLoggedPath((req as { originalUrl?: string }).originalUrl ?? req.url ?? ''),
    status: res.statusCode,
    caller: (res as { [CALLER]?: string })[CALLER],
    isAborted: res.writableFinished ? undefined : true,
  };
  const failure = (res as { [FAILURE]?: AppError })[FAILURE];
  return failure === undefined ? props : { ...props, ...toFailureProps(failure, res.statusCode) };
}

/** The path of a request target as a log may show it: without its query, without what looks like a token. */
export function toLoggedPath(url: string): string {
  const end = url.indexOf('?');
  // A target in absolute form may hold a password before its host.
  const path = (end === -1 ? url : url.slice(0, end)).replace(ORIGIN, '');
  return path.slice(0, MAX_LOGGED_PATH).replaceAll(TOKEN, '[redacted]');
}

function toFailureProps(error: AppError, status: number): object {
  const { code, detail, values, cause } = error;
  const why = { failure: code, detail: detail ?? values.detail ?? values.claim };
  return status < 500 || cause === undefined
    ? why
    : { ...why, cause: cause instanceof Error ? (cause.stack ?? cause.message) : 'a value that is no error' };
}
