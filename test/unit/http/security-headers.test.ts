import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import express, { type RequestHandler } from 'express';
import helmet, { type HelmetOptions } from 'helmet';

import { computeSecurityHeaders, HELMET_OPTIONS, setSecurityHeaders } from '../../../src/http/security-headers.ts';
import { sendRaw, toRequest } from './raw-http.ts';

async function readHeaders(t: TestContext, handler: RequestHandler): Promise<string> {
  const app = express();
  app.use(handler).get('/', (_req, res) => void res.end('x'));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (await sendRaw((server.address() as AddressInfo).port, toRequest('GET', '/'))).replace(/^Date: .*\r\n/m, '');
}

const fromList = (options: HelmetOptions): RequestHandler => {
  const headers = computeSecurityHeaders(options);
  return (_req, res, next) => {
    res.removeHeader('X-Powered-By');
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
};

/** Settings of helmet under which the list must be what helmet itself sends. */
const OPTIONS: Readonly<Record<string, HelmetOptions>> = {
  "the product's own": HELMET_OPTIONS,
  "helmet's defaults": {},
  'another content security policy': { contentSecurityPolicy: { directives: { scriptSrc: ["'self'", 'a.example'] } } },
  'without HSTS': { strictTransportSecurity: false },
};

describe('security headers', () => {
  for (const [name, options] of Object.entries(OPTIONS)) {
    it(`are the ones that helmet sends: ${name}`, async (t) => {
      const reference = await readHeaders(t, helmet(options));
      assert.match(reference, /X-Content-Type-Options: nosniff/);
      assert.equal(await readHeaders(t, fromList(options)), reference);
    });
  }

  it('let nothing be loaded, framed or sniffed', async (t) => {
    const text = await readHeaders(t, setSecurityHeaders());
    assert.match(text, /^Content-Security-Policy: default-src 'none';frame-ancestors 'none'\r$/m);
    assert.match(text, /^X-Frame-Options: DENY\r$/m);
    assert.match(text, /^Referrer-Policy: no-referrer\r$/m);
  });
});
