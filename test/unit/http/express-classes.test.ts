import assert from 'node:assert/strict';
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import express, { type Express } from 'express';

import { createExpressClasses } from '../../../src/http/express-classes.ts';
import { MESSAGE_BEHAVIOURS } from './express-messages.ts';
import { TRANSFER_BEHAVIOURS } from './express-transfers.ts';
import { sendRaw } from './raw-http.ts';

const BEHAVIOURS = { ...MESSAGE_BEHAVIOURS, ...TRANSFER_BEHAVIOURS };

type Answer = (app: Express, use?: (server: Server) => void) => Promise<{ port: number; close: () => Promise<void> }>;

async function listen(server: Server, use?: (server: Server) => void) {
  use?.(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}

const plain: Answer = (app, use) => listen(createServer(app), use);
const ours: Answer = (app, use) => listen(createServer(createExpressClasses(app), app), use);

/** What may differ from one answer to the next. */
function withoutTime(text: string): string {
  return text.replaceAll(/^Date: .*\r\n/gm, '').replaceAll(/^X-RateLimit-Reset: .*\r\n/gim, '');
}

async function ask(start: Answer, name: string): Promise<string> {
  const behaviour = BEHAVIOURS[name];
  assert.ok(behaviour);
  const app = express();
  app.set('env', 'test');
  behaviour.mount(app);
  const server = await start(app, behaviour.use);
  try {
    return withoutTime(await sendRaw(server.port, ...behaviour.send));
  } finally {
    await server.close();
  }
}

describe('the message classes for Express', () => {
  for (const [name, { expected }] of Object.entries(BEHAVIOURS)) {
    it(`answer as plain Express does: ${name}`, async () => {
      const reference = await ask(plain, name);
      // The case must show what it is about, or two equal errors would pass for agreement.
      assert.match(reference, expected);
      assert.equal(await ask(ours, name), reference);
    });
  }

  it('make bare node:http objects in all but the prototype', () => {
    const app = express();
    const classes = createExpressClasses(app);
    assert.equal(classes.IncomingMessage.prototype, app.request);
    assert.equal(classes.ServerResponse.prototype, app.response);
    // By this V8 learns how many properties to make room for.
    assert.equal(Object.getPrototypeOf(classes.IncomingMessage), IncomingMessage);
    assert.equal(Object.getPrototypeOf(classes.ServerResponse), ServerResponse);
    assert.ok(IncomingMessage.prototype.isPrototypeOf(app.request));
    assert.ok(ServerResponse.prototype.isPrototypeOf(app.response));
  });
});

/** Prototypes that were really changed while one request was answered. */
async function countChanges(start: Answer, isSub: boolean): Promise<number> {
  const app = express();
  const inner = isSub ? express() : express.Router();
  inner.get('/', (req, res) => {
    const owner = isSub ? (inner as Express) : app;
    assert.equal(Object.getPrototypeOf(req), owner.request);
    assert.equal(Object.getPrototypeOf(res), owner.response);
    res.json({ ip: req.ip });
  });
  app.use('/inner', express.json(), inner);
  const server = await start(app);
  const original = Object.setPrototypeOf;
  let changes = 0;
  Object.setPrototypeOf = <T>(target: T, prototype: object | null): T => {
    const isMessage = target instanceof IncomingMessage || target instanceof ServerResponse;
    if (isMessage && Object.getPrototypeOf(target) !== prototype) changes++;
    return original(target, prototype) as T;
  };
  try {
    assert.match(
      await sendRaw(server.port, 'GET /inner HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      /127\.0\.0\.1/,
    );
  } finally {
    Object.setPrototypeOf = original;
    await server.close();
  }
  return changes;
}

/**
 * When one of these fails, Express has changed how it makes a request its own. Look at `app.handle` in
 * `node_modules/express/lib/application.js`: whatever it now does to `req` and `res` that costs them their shape, let
 * `createExpressClasses` do at their birth, measure with `npm run bench`, and correct the reason written there. If it does
 * nothing of the kind any more, remove the classes.
 */
describe('Express underneath', () => {
  it('changes the prototypes of node:http objects, on every request', async () => {
    assert.equal(await countChanges(plain, false), 2);
  });

  it('changes nothing on objects of these classes', async () => {
    assert.equal(await countChanges(ours, false), 0);
  });

  it('changes them in and out of a sub-application: mount routers', async () => {
    assert.ok((await countChanges(ours, true)) >= 2);
  });
});
