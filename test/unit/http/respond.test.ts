import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AppError, type ErrorCode, ERRORS, type PublicValues } from '../../../src/core/errors.ts';
import { handleErrors } from '../../../src/http/create-app.ts';
import { toOauthError, toSeedsError } from '../../../src/http/respond.ts';
import { startApp } from './app-under-test.ts';
import { parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const VALUES: PublicValues = {
  claim: 'aud',
  seconds: 7.2,
  limit: 5,
  allow: 'GET, POST',
  detail: 'a "quoted" \\ detail',
  name: 'CRM',
};

interface OauthBody {
  readonly error: string;
  readonly error_description: string;
}

describe('every failure', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    it(`has both shapes: ${code}`, () => {
      const error = new AppError(code, { values: VALUES, detail: 'for the log', cause: new Error('the cause') });
      const seeds = toSeedsError(error);
      const { msg } = (seeds.body as { errors: { msg: string; code: number }[] }).errors[0] ?? { msg: '' };
      assert.deepEqual(seeds, { status: ERRORS[code].status, body: { errors: [{ msg, code: seeds.status }] } });
      assert.doesNotMatch(msg, /[{}]|unreadable|for the log|the cause/);
      const oauth = toOauthError(error);
      const { error: name, error_description: text } = oauth.body as OauthBody;
      // RFC 6749 §5.2: the characters of error and error_description.
      assert.match(name, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      assert.match(text, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      assert.ok(oauth.status >= 400 && oauth.status <= 504);
    });
  }
});

/** A failure and what its answer must have. */
const ANSWERS: Readonly<
  Record<string, { error: unknown; status: number; headers?: Record<string, string | undefined> }>
> = {
  'without a credential': {
    error: new AppError('credential_missing'),
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="countersign"' },
  },
  'with a wrong credential': {
    error: new AppError('credential_invalid'),
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="countersign", error="invalid_token"' },
  },
  'with a wrong bearer': {
    error: new AppError('bearer_invalid'),
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="countersign", error="invalid_token"' },
  },
  'with a refused assertion': {
    error: new AppError('replayed'),
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="countersign"' },
  },
  'a limit, on client routes': {
    error: new AppError('busy', { values: { seconds: 1.2 } }),
    status: 503,
    headers: { 'retry-after': '2', 'www-authenticate': undefined },
  },
  'a limit elsewhere': {
    error: new AppError('rate_limited', { values: { seconds: 60 } }),
    status: 429,
    headers: { 'retry-after': '60' },
  },
  'a store that is down': {
    error: new AppError('store_unavailable', { detail: 'redis://secret' }),
    status: 503,
    headers: { 'retry-after': '1' },
  },
  'another method': {
    error: new AppError('method_not_allowed', { values: { allow: 'POST' } }),
    status: 405,
    headers: { allow: 'POST' },
  },
  'an unforeseen error': { error: new TypeError('secret cause'), status: 500, headers: { 'retry-after': undefined } },
  'something that is no error': { error: 'secret cause', status: 500 },
  'an error with a status of its own': {
    error: Object.assign(new Error('secret cause'), { status: 200 }),
    status: 500,
  },
};

describe('an answer to a failure', () => {
  for (const [name, { error, status, headers = {} }] of Object.entries(ANSWERS)) {
    it(`has what belongs to it: ${name}`, async (t) => {
      const app = await startApp(t, (server) => {
        server.get('/', (_req, _res, next) => next(error));
      });
      const text = await sendRaw(app.port, toRequest('GET', '/'));
      const answer = parseAnswer(text);
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.equal((JSON.parse(answer.body) as { errors: { code: number }[] }).errors[0]?.code, status);
      assert.doesNotMatch(text, /secret|at .*\.js/);
      for (const [field, value] of Object.entries(headers)) assert.equal(answer.headers[field], value, field);
    });
  }

  it('has the shape that its router chose', async (t) => {
    const app = await startApp(t, (server) => {
      server.get('/', () => {
        throw new AppError('replayed');
      });
      server.use(handleErrors(toOauthError));
    });
    const { status, body } = parseAnswer(await sendRaw(app.port, toRequest('GET', '/')));
    assert.equal(status, 400);
    assert.deepEqual(JSON.parse(body), {
      error: 'invalid_grant',
      error_description: 'error verifying the jwt: possibly a replay',
    });
  });

  it('is cut off when it comes too late', async (t) => {
    const app = await startApp(t, (server) => {
      server.get('/', (_req, res) => {
        res.write('half');
        throw new Error('too late');
      });
    });
    const text = await sendRaw(app.port, toRequest('GET', '/'));
    assert.doesNotMatch(text, /errors|\r\n0\r\n/);
    const line = await app.line(({ msg }) => msg === 'request');
    assert.equal(line['failure'], 'internal');
  });

  const KEPT: Readonly<Record<string, string>> = {
    'nothing there': 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n',
    'another method': 'DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
    'a path that cannot be read': 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n',
    'a body that nobody reads': 'POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
    'a body of many pieces that nobody reads':
      'POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  };
  for (const [name, text] of Object.entries(KEPT)) {
    it(`leaves the connection usable: ${name}`, async (t) => {
      const app = await startApp(t, (server) => void server.get('/:id', (_req, _res, next) => next()));
      const both = await sendRaw(app.port, text, toRequest('GET', '/healthz'));
      assert.match(both, /^HTTP\/1\.1 4\d\d [^]*"errors"[^]*HTTP\/1\.1 200 OK[^]*\{"status":"ok"\}$/);
    });
  }
});
