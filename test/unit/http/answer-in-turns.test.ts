import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { createApp } from '../../../src/http/create-app.ts';
import { readBody } from '../../../src/http/body.ts';
import { createExpressClasses } from '../../../src/http/express-classes.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { answerInTurns } from '../../../src/http/answer-in-turns.ts';
import { createKeptLog } from './app-under-test.ts';
import { openRaw, parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const BODY = '{"a":1}';
const POST = toRequest('POST', '/echo', ['Content-Type: application/json', `Content-Length: ${BODY.length}`], BODY);
const KEPT = POST.replace('Connection: close\r\n', '');

type Take = (req: IncomingMessage, res: ServerResponse, take: RequestListener) => void;

/** Hands a request over when whoever sent it is gone. */
const handOverGone: Take = (req, res, take) => {
  req.socket.once('close', () => setImmediate(take, req, res)).destroy();
};

/** A server whose requests are seen by `handOver` when they have been read, and by `answer` in their turn. */
async function start(
  t: TestContext,
  answer: RequestListener,
  handOver: Take = (req, res, take) => take(req, res),
  classes: object = {},
): Promise<number> {
  const take = answerInTurns(answer);
  const server = createServer(classes, (req, res) => handOver(req, res, take));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** An app of the product's kind whose callers are gone when their requests get their turn. */
async function startForGone(t: TestContext, beforeBody: () => Promise<void> = async () => undefined) {
  const log = createKeptLog();
  const metrics = createMetrics();
  const deps = { name: 'test', logger: log.logger, metrics, metricsToken: undefined, checks: {}, trustProxy: false };
  const app = createApp({ ...deps, trustProxy: false }, (server) => {
    server.use(async (_req, _res, next) => {
      await beforeBody();
      next();
    });
    server.post('/echo', readBody(1_000), (req, res) => sendJson(res, 200, req.body as object));
  });
  const port = await start(t, app, handOverGone, createExpressClasses(app));
  return { port, metrics, line: () => log.line(({ msg }) => msg === 'request') };
}

describe('requests of one turn of the event loop', () => {
  it('are answered once all of them have been read, in their order', async (t) => {
    const seen: string[] = [];
    const note =
      (what: string) =>
      ({ url }: IncomingMessage): number =>
        seen.push(`${what} ${url}`);
    const answer = (req: IncomingMessage, res: ServerResponse): void => {
      note('answer')(req);
      res.end(req.url);
    };
    const port = await start(t, answer, (req, res, take) => {
      note('read')(req);
      take(req, res);
    });
    const text = await sendRaw(
      port,
      KEPT.replace('/echo', '/1') + KEPT.replace('/echo', '/2') + POST.replace('/echo', '/3'),
    );
    assert.deepEqual(seen, ['read /1', 'read /2', 'read /3', 'answer /1', 'answer /2', 'answer /3']);
    assert.deepEqual(
      text.match(/^\/\d/gm)?.map((url) => url),
      ['/1', '/2', '/3'],
    );
  });

  it('do not wait for those of the next', async (t) => {
    const port = await start(t, (req, res) => void res.end(req.url));
    const connection = await openRaw(port);
    for (const count of [1, 2, 3]) {
      connection.send(KEPT);
      await connection.until((text) => text.split('HTTP/1.1 200').length === count + 1);
    }
    connection.socket.destroy();
  });

  it('have their bodies whole', async (t) => {
    const log = createKeptLog();
    const deps = { name: 'test', logger: log.logger, metrics: createMetrics(), metricsToken: undefined, checks: {} };
    const app = createApp({ ...deps, trustProxy: false }, (server) => {
      server.post('/echo', readBody(1_000), (req, res) => sendJson(res, 200, req.body as object));
    });
    const port = await start(t, app, undefined, createExpressClasses(app));
    const answers = await Promise.all(Array.from({ length: 20 }, () => sendRaw(port, POST)));
    for (const { status, body } of answers.map(parseAnswer)) assert.deepEqual([status, body], [200, BODY]);
  });
});

describe('a caller who is gone when the turn comes', () => {
  it('is told to those who listen to the request and the answer, once', async (t) => {
    const told: string[] = [];
    const wasTold = new Promise<void>((resolve) => {
      const answer: RequestListener = (req, res) => {
        req
          .on('error', ({ message }) => told.push(`request: ${message}`))
          .on('close', () => told.push('request closed'));
        res.on('close', () => {
          told.push('answer closed');
          setTimeout(resolve, 50);
        });
      };
      void start(t, answer, handOverGone).then(async (port) => (await openRaw(port)).send(POST.slice(0, -1)));
    });
    await wasTold;
    assert.deepEqual(told, ['request: aborted', 'request closed', 'answer closed']);
  });

  it('does no harm where nobody listens', async (t) => {
    let isTold: () => void = () => undefined;
    const told = new Promise<void>((resolve) => (isTold = resolve));
    const port = await start(t, () => setImmediate(() => setImmediate(isTold)), handOverGone);
    (await openRaw(port)).send(POST.slice(0, -1));
    await told;
    await openRaw(port).then(({ socket }) => socket.destroy());
  });

  for (const [what, beforeBody] of Object.entries({
    'at once': undefined,
    'after something else': () => new Promise<void>((resolve) => setTimeout(resolve, 20)),
  })) {
    it(`has a line in the log, and is counted, where its body is read ${what}`, async (t) => {
      const { port, metrics, line } = await startForGone(t, beforeBody);
      const connection = await openRaw(port);
      connection.send(POST.slice(0, -1));
      await connection.closed();
      const { path, isAborted } = await line();
      assert.deepEqual({ path, isAborted }, { path: '/echo', isAborted: true });
      assert.match(await metrics.registry.metrics(), /requests_total\{[^}]*status="aborted"[^}]*\} 1/);
    });
  }
});
