import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import express, { type RequestHandler } from 'express';

import { createExpressClasses } from '../../../src/http/express-classes.ts';
import { addFields, holdFields, writeFields } from '../../../src/http/header-fields.ts';
import { sendRaw, toRequest } from './raw-http.ts';

/** The head and body of one answer, its fields in alphabetical order. */
async function ask(t: TestContext, handler: RequestHandler, isHolding: boolean): Promise<string[]> {
  const app = express();
  app.disable('x-powered-by');
  if (isHolding) holdFields(app);
  app.use((_req, res, next) => {
    addFields(res, ['X-Fixed', 'one', 'X-Frame-Options', 'DENY']);
    addFields(res, ['Vary', 'Origin']);
    next();
  }, handler);
  const server = createServer(createExpressClasses(app), app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  // A list whose order says nothing.
  const text = (await sendRaw((server.address() as AddressInfo).port, toRequest('GET', '/'))).replace(
    'Vary: Origin, Accept',
    'Vary: Accept, Origin',
  );
  const [head = '', body = ''] = text.replace(/^Date: .*\r\n/m, '').split('\r\n\r\n');
  return [...head.split('\r\n').sort(), body];
}

/** What a handler may do, and what must be in the answer. */
const HANDLERS: Readonly<Record<string, readonly [handler: RequestHandler, expected: RegExp]>> = {
  'one list': [(_req, res) => (writeFields(res, 201, ['Content-Length', 2]), res.end('ok')), /X-Fixed: one/],
  'one list, and fields that were set': [
    (_req, res) => (res.setHeader('X-Set', 'a'), writeFields(res, 200, ['Content-Length', 2]), res.end('ok')),
    /X-Set: a/,
  ],
  'nothing but an end': [(_req, res) => res.end('ok'), /X-Fixed: one/],
  'res.json': [(_req, res) => res.json({}), /X-Fixed: one/],
  'a stream': [(_req, res) => (res.flushHeaders(), res.write('a'), res.end('b')), /X-Fixed: one/],
  'a field in place of a fixed one': [
    (_req, res) => (res.setHeader('x-frame-options', 'SAMEORIGIN'), res.end()),
    /^(?!.*DENY).*200 OK.*SAMEORIGIN/,
  ],
  'such a field in writeHead': [
    (_req, res) => res.writeHead(200, { 'X-Frame-Options': 'SAMEORIGIN' }).end(),
    /^(?!.*DENY).*200 OK.*SAMEORIGIN/,
  ],
  'such a field in writeHead, with a reason': [
    (_req, res) => res.writeHead(200, 'Fine', { 'X-Frame-Options': 'SAMEORIGIN' }).end(),
    /^(?!.*DENY).*200 Fine.*SAMEORIGIN/,
  ],
  'such a field in a list of writeHead': [
    (_req, res) => res.writeHead(200, ['X-Frame-Options', 'SAMEORIGIN']).end(),
    /^(?!.*DENY).*200 OK.*SAMEORIGIN/,
  ],
  'no body': [(_req, res) => res.sendStatus(204), /204 No Content.*X-Fixed: one/],
  'a redirect': [(_req, res) => res.redirect('/a'), /302 Found.*X-Fixed: one/],
  'a second head': [
    (_req, res) => {
      writeFields(res, 200, ['Content-Length', 40]);
      assert.throws(() => addFields(res, ['X-Late', 'a']), { code: 'ERR_HTTP_HEADERS_SENT' });
      assert.throws(() => writeFields(res, 200, []), { code: 'ERR_HTTP_HEADERS_SENT' });
      res.end('both are refused as Node does it, twice.');
    },
    /X-Fixed: one.*both are refused/,
  ],
};

describe('fields that are held', () => {
  for (const [name, [handler, expected]] of Object.entries(HANDLERS)) {
    it(`are sent as if they had been set: ${name}`, async (t) => {
      const answer = await ask(t, handler, true);
      assert.match(answer.join('|'), expected);
      assert.deepEqual(answer, await ask(t, handler, false));
    });
  }

  it('are joined with what varies besides', async (t) => {
    const vary = await ask(t, (_req, res) => (res.setHeader('Vary', 'Accept'), res.end()), true);
    assert.ok(vary.includes('Vary: Accept, Origin'), vary.join('\n'));
    const never = await ask(t, (_req, res) => (res.vary('Accept'), writeFields(res, 200, []), res.end()), true);
    assert.ok(never.includes('Vary: Accept, Origin'), never.join('\n'));
  });

  it('belong to one answer', async (t) => {
    const answer = (
      await ask(t, (_req, res) => (writeFields(res, 200, ['Content-Length', 0]), res.end()), true)
    ).join();
    assert.equal(answer.match(/X-Fixed/g)?.length, 1);
  });

  it('are in the answer to a handler that wrote a wrong head', async (t) => {
    const handler: RequestHandler = (_req, res) => {
      assert.throws(() => writeFields(res, 200, ['X-Bad', 'a\r\nX-Evil: b']), { code: 'ERR_INVALID_CHAR' });
      writeFields(res, 500, ['Content-Length', 0]);
      res.end();
    };
    const answer = await ask(t, handler, true);
    assert.match(answer.join('|'), /1.1 500 .*X-Fixed: one/);
    assert.doesNotMatch(answer.join('|'), /Evil/);
  });
});
