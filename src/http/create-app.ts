import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Router,
} from 'express';

import { AppError, toAppError } from '../core/errors.ts';
import { type Logger, logRequests, noteFailure } from './access-log.ts';
import { refuseUnknownPath } from './refusals.ts';
import { discardBody } from './body.ts';
import { holdFields } from './header-fields.ts';
import { createHealthRouter, type HealthDeps } from './health.ts';
import { type ErrorRenderer, sendError, toSeedsError } from './respond.ts';
import { setSecurityHeaders } from './security-headers.ts';
import { setSharedCounters, type SharedCounters } from './shared-counters.ts';
import { type Shortcut, takeShortcuts } from './shortcuts.ts';

export type { Express } from 'express';

/** Routers that belong together, in their order. */
export type Routes = readonly Router[];

/** What every server of the product has in common. */
export interface AppDeps extends HealthDeps {
  /** The server's name in log and metrics. */
  readonly name: string;
  readonly logger: Logger;
  /** The field of a failed answer that holds the name of the failure. Absent: there is none. */
  readonly errorField?: string;
  /** Express' `trust proxy`: false, a number of hops, or addresses. */
  readonly trustProxy: false | number | readonly string[];
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly sharedCounters?: SharedCounters | undefined;
}

/** An Express app with everything that belongs around the routes that `mount` adds, and shortcuts to some of them. Opens nothing. */
export function createApp(deps: AppDeps, mount: (app: Express) => void, shortcuts: readonly Shortcut[] = []): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // `/ADMIN` is not `/admin`: a rule of a proxy in front is written for one of them.
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');
  app.set(
    'trust proxy',
    deps.trustProxy === false ? false : typeof deps.trustProxy === 'number' ? deps.trustProxy : [...deps.trustProxy],
  );
  setSharedCounters(app, deps.sharedCounters);
  if (deps.trustProxy === false) readAddressOfSocket(app);
  holdFields(app);
  app.use(logRequests(deps.logger, deps.name));
  app.use(deps.metrics.observeRequests(deps.name));
  app.use(setSecurityHeaders());
  app.use(refuseMissingHost);
  app.use(createHealthRouter(deps));
  mount(app);
  app.use(refuseUnknownPath);
  app.use(handleErrors(toSeedsError, deps.errorField));
  // What counts together with others asks them each time: beside that, nothing is saved.
  if (deps.sharedCounters === undefined) takeShortcuts(app, shortcuts, deps);
  return app;
}

/** The last handler of a router whose failures have a shape of their own. */
export function handleErrors(render: ErrorRenderer, errorField?: string): ErrorRequestHandler {
  return async function errorHandler(error: unknown, req, res, _next) {
    const failure = isUnreadablePath(error)
      ? new AppError('invalid_request', { values: { detail: 'the path cannot be read' } })
      : toAppError(error);
    noteFailure(res, failure);
    if (res.headersSent) {
      req.socket.destroy();
      return;
    }
    if (errorField !== undefined) res.setHeader(errorField, failure.code);
    await discardBody(req);
    sendError(req, res, failure, render);
  };
}

/** Where no proxy is believed, `req.ip` is the socket's address: Express reads `X-Forwarded-For` each time before it says so. */
function readAddressOfSocket(app: Express): void {
  Object.defineProperty(app.request, 'ip', {
    configurable: true,
    get(this: Request) {
      return this.socket.remoteAddress;
    },
  });
}

/** RFC 9112 §3.2. Node's own refusal has no body. */
const refuseMissingHost: RequestHandler = (req, _res, next) => {
  if (req.headers.host === undefined && req.httpVersion === '1.1') {
    throw new AppError('invalid_request', { values: { detail: 'the Host header field is missing' } });
  }
  next();
};

/** Express' router refuses a wrong percent-encoding in a path parameter with a URIError of status 400. */
function isUnreadablePath(error: unknown): boolean {
  return error instanceof URIError && (error as { status?: unknown }).status === 400;
}
