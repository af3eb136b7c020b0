import assert from 'node:assert/strict';
import { type TestContext } from 'node:test';
import { Writable } from 'node:stream';

import jsonwebtoken from 'jsonwebtoken';
import { pino } from 'pino';

import { systemClock } from '../../../src/core/clock.ts';
import { createToken } from '../../../src/core/ids.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import { startServer } from '../../../src/http/server.ts';
import { createIssuerApp } from '../../../src/issuer/create-issuer-app.ts';
import type { IssuerDeps, IssuerSettings } from '../../../src/issuer/settings.ts';

export const CLIENT_ID = 'cs-5f0e7c1a-0000-4000-8000-00000000c0de';
export const AUDIENCE = 'https://idproxy.kore.com/authorize';
export const OTHER_AUDIENCE = 'https://idproxy.kore.ai/authorize';
export const PAGE = 'http://page.example';

/** An answer, its body read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: JsonObject;
}

/** An issuer that listens on a free port, with the secret it signs with. */
export interface IssuerUnderTest {
  readonly url: string;
  readonly secret: string;
  /** Everything it has logged. */
  readonly log: () => string;
  /** Everything it counted, in Prometheus' text. */
  readonly counted: () => Promise<string>;
  readonly send: (path: string, init?: RequestInit) => Promise<Answer>;
  /** Posts JSON to the first of its paths. */
  readonly ask: (body: unknown, headers?: Record<string, string>) => Promise<Answer>;
}

/** Starts an open issuer under HS256; `settings` and `deps` change what a test is about. */
export async function startIssuer(
  t: TestContext,
  settings: Partial<IssuerSettings> = {},
  deps: Partial<IssuerDeps> = {},
): Promise<IssuerUnderTest> {
  const secret = createToken(64);
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  const metrics = createMetrics();
  const app = await createIssuerApp(
    {
      clientId: CLIENT_ID,
      algorithm: 'HS256',
      key: new Secret(secret),
      audiences: [AUDIENCE, OTHER_AUDIENCE],
      tokenLifetimeSeconds: 300,
      koreClaims: false,
      callerAuth: { mode: 'open', isNetworkAllowed: false },
      allowAnonymous: true,
      claimsName: 'privateClaims',
      upstreamTimeoutMs: 5_000,
      rateLimitPerMinute: 100_000,
      cors: { origins: [PAGE], allowLoopback: false, allowCredentials: false },
      ...settings,
    },
    {
      logger: pino({ level: 'trace' }, sink),
      metrics,
      metricsToken: undefined,
      checks: {},
      trustProxy: false,
      clock: systemClock,
      fetch,
      ...deps,
    },
  );
  const server = await startServer(app, { host: '127.0.0.1', port: 0 });
  t.after(() => server.close());
  const send = (path: string, init: RequestInit = {}): Promise<Answer> => request(server.url + path, init);
  return {
    url: server.url,
    secret,
    log: () => lines.join(''),
    counted: () => metrics.registry.metrics(),
    send,
    ask: (body, headers = {}) =>
      send('/api/users/sts', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
  };
}

async function request(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const text = await response.text();
  const body = text === '' ? {} : (JSON.parse(text) as JsonObject);
  return { status: response.status, headers: response.headers, text, body };
}

/** The token of an answer that has nothing but a token. */
export function readJwt({ status, headers, body, text }: Answer): string {
  assert.equal(status, 200, text);
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.deepEqual(Object.keys(body), ['jwt']);
  const { jwt } = body;
  assert.ok(typeof jwt === 'string');
  return jwt;
}

/** The claims of an answer's token, verified with a second implementation. */
export function readClaims(issuer: IssuerUnderTest, answer: Answer): jsonwebtoken.JwtPayload {
  const claims = jsonwebtoken.verify(readJwt(answer), issuer.secret, { algorithms: ['HS256'], issuer: CLIENT_ID });
  assert.ok(typeof claims === 'object');
  return claims;
}

/** That an answer is the seeds' error body with this status and a sentence like `msg`. */
export function assertRefused({ status, headers, body, text }: Answer, expectedStatus: number, msg: RegExp): void {
  assert.equal(status, expectedStatus, text);
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  const errors = body['errors'] as { msg: string; code: number }[];
  assert.deepEqual(body, { errors: [{ msg: errors[0]?.msg, code: expectedStatus }] });
  assert.match(errors[0]?.msg ?? '', msg);
}
