import { pipeline } from 'node:stream/promises';

import { type Request, type RequestHandler, type Response, Router } from 'express';

import { AppError } from '../../core/errors.ts';
import { noteCaller } from '../../http/access-log.ts';
import { discardBody, readBody } from '../../http/body.ts';
import type { Routes } from '../../http/create-app.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import { carriesBody } from '../answer-body.ts';
import type { Caller } from '../connector.ts';
import { cutVisibly } from '../relay-answers.ts';
import { readJsonAnswer, toBodyError, toHeadersHeader } from '../service-calls/answers.ts';
import type { ServiceAnswer } from '../service-calls/exchange.ts';
import { findField, hasField } from '../service-calls/header-fields.ts';
import type { ServiceIdentities } from '../service-calls/identities.ts';
import { MAX_CALL_BYTES } from '../service-calls/limits.ts';
import { type CallPlaces, createCallPlaces } from '../service-calls/places.ts';
import { CALL_HEADER, parseCall, parseStreamedCall } from '../service-calls/read-call.ts';
import type { ServiceCalls } from '../service-calls/service-calls.ts';

export interface ServiceCallRoutesDeps {
  readonly calls: ServiceCalls;
  /** @throws AppError `credential_missing` or `credential_invalid` */
  readonly authenticate: (req: Request) => Caller | Promise<Caller>;
  readonly places?: CallPlaces;
}

/** `/service-calls…` on the gateway's port for callers. */
export function createServiceCallRoutes({
  calls,
  authenticate,
  places = createCallPlaces(),
}: ServiceCallRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  const readJson = readBody(MAX_CALL_BYTES);
  const callers = new WeakMap<Request, Caller>();

  // SECURITY: before the body, so that a stranger's is not read.
  const checkCaller: RequestHandler = async (req, res, next) => {
    const caller = await authenticate(req);
    callers.set(req, caller);
    noteCaller(res, caller.name);
    next();
  };
  const callerOf = (req: Request): Caller => {
    const caller = callers.get(req);
    if (caller === undefined) throw new AppError('credential_missing');
    return caller;
  };
  const isStreamed = (req: Request): boolean => req.headers[CALL_HEADER] !== undefined;

  router
    .route('/service-calls')
    .post(
      checkCaller,
      async function readCall(req, res, next) {
        if (isStreamed(req)) next();
        else await readJson(req, res, next);
      },
      async function callService(req, res) {
        const caller = callerOf(req);
        const leave = places.enter(caller.id);
        const cut = new AbortController();
        const gone = new AppError('invalid_request', { values: { detail: 'the caller has gone' } });
        res.once('close', () => cut.abort(gone));
        try {
          const { call, body } = isStreamed(req) ? parseStreamedCall(req) : parseCall(req.body);
          const requestId = (req as { id?: unknown }).id;
          const named = req.headers['x-connector'];
          const context = {
            caller,
            requestId: typeof requestId === 'string' ? requestId : undefined,
            connectorId: typeof named === 'string' ? named : undefined,
          };
          const answer = await calls.call(call, body, context, cut);
          if (call.stream) await sendStream(req, res, call.method, answer, cut.signal);
          else await sendAnswer(req, res, answer, cut.signal);
        } finally {
          leave();
        }
      },
    )
    .all(allowOnly('POST'));
  router
    .route('/service-calls/options')
    .get(checkCaller, async function showOptions(req, res) {
      sendJson(res, 200, await calls.options(callerOf(req)));
    })
    .all(allowOnly('GET'));
  return [router];
}

/** `/admin/service-identities`: the certificates without their keys. Behind the guard of everything below `/admin`. */
export function createServiceIdentityRoutes({ identities }: { readonly identities: ServiceIdentities }): Routes {
  const router = Router({ caseSensitive: true });
  router
    .route('/admin/service-identities')
    .get(function listServiceIdentities(_req, res) {
      sendJson(res, 200, { identities: identities.list() });
    })
    .all(allowOnly('GET'));
  return [router];
}

async function sendAnswer(req: Request, res: Response, answer: ServiceAnswer, signal: AbortSignal): Promise<void> {
  const json = await readJsonAnswer(answer, signal);
  await dropRest(req, res);
  sendJson(res, 200, json);
}

/**
 * Hands the body over as it comes, no faster than the caller reads. What ends early there ends early here: the caller's
 * connection is cut, so that nothing that is not whole looks whole.
 */
async function sendStream(
  req: Request,
  res: Response,
  method: string,
  answer: ServiceAnswer,
  signal: AbortSignal,
): Promise<void> {
  const { status, fields, body } = answer;
  const length = findField(fields, 'content-length');
  // Of an answer without a body it is the length that there would have been.
  const hasLength = carriesBody(method, status) && length !== undefined && !hasField(fields, 'transfer-encoding');
  if (!req.complete) res.setHeader('Connection', 'close');
  res.writeHead(200, {
    'Content-Type': 'application/octet-stream',
    'Cache-Control': 'no-store',
    'X-Service-Status': String(status),
    'X-Service-Headers': toHeadersHeader(answer),
    ...(hasLength && { 'Content-Length': length }),
  });
  res.flushHeaders();
  // SECURITY: before `pipeline`, which closes: where the end of the connection is the end of the body, only a reset says that
  // it is not whole.
  if (!hasLength && !res.chunkedEncoding) {
    const cutUnlessWhole = (): void => {
      if (!body.readableEnded) cutVisibly(res.socket);
    };
    body.once('error', cutUnlessWhole).once('close', cutUnlessWhole);
  }
  try {
    await pipeline(body, res);
  } catch (error) {
    throw toBodyError(error, signal);
  }
}

/** What is left of a body that the service did not wait for. */
async function dropRest(req: Request, res: Response): Promise<void> {
  if (req.complete) return;
  res.setHeader('Connection', 'close');
  await discardBody(req);
}
