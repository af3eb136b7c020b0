import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { AppError } from '../../../src/core/errors.ts';
import { noteCaller } from '../../../src/http/access-log.ts';
import { readBody } from '../../../src/http/body.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { type AppUnderTest, type LogLine, startApp } from './app-under-test.ts';
import { openRaw, parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const LEVELS = { info: 30, warn: 40, error: 50 } as const;
const isRequest = ({ msg }: LogLine): boolean => msg === 'request';

const start = (t: Parameters<typeof startApp>[0], onSlow: () => void = () => undefined): Promise<AppUnderTest> =>
  startApp(t, (server) => {
    server.get('/ok', (_req, res) => {
      noteCaller(res, 'back end');
      sendJson(res, 200, {});
    });
    server.post('/echo', readBody(1_000), (_req, res) => sendJson(res, 200, {}));
    server.get('/slow', () => onSlow());
    server.get('/refused', () => {
      throw new AppError('replayed', { detail: 'cs-1' });
    });
    server.get('/claim', () => {
      throw new AppError('claim_missing', { values: { claim: 'sub' } });
    });
    server.get('/down', () => {
      throw new AppError('store_unavailable', { detail: 'redis is not connected', cause: new Error('ECONNREFUSED') });
    });
    server.get('/broken', () => {
      throw new TypeError('nobody foresaw this');
    });
  });

/** Requests and what their line holds besides id, address, time and path. */
const LINES: Readonly<Record<string, { method?: string; path: string; level: number; line: LogLine }>> = {
  'an answer': { path: '/ok', level: LEVELS.info, line: { status: 200, caller: 'back end', failure: undefined } },
  'a path that is not there': { path: '/none', level: LEVELS.info, line: { status: 404, failure: 'not_found' } },
  'a refusal with a detail': {
    path: '/refused',
    level: LEVELS.info,
    line: { status: 401, failure: 'replayed', detail: 'cs-1', cause: undefined },
  },
  'a refusal with a claim': {
    path: '/claim',
    level: LEVELS.info,
    line: { status: 401, failure: 'claim_missing', detail: 'sub' },
  },
  'a dependency that is down': {
    path: '/down',
    level: LEVELS.warn,
    line: { status: 503, failure: 'store_unavailable', detail: 'redis is not connected' },
  },
  'an error of ours': { path: '/broken', level: LEVELS.error, line: { status: 500, failure: 'internal' } },
  HEAD: { method: 'HEAD', path: '/ok', level: LEVELS.info, line: { status: 200, method: 'HEAD' } },
};

describe('the access log', () => {
  for (const [name, { method = 'GET', path, level, line }] of Object.entries(LINES)) {
    it(`has one line of the right level: ${name}`, async (t) => {
      const app = await start(t);
      await sendRaw(app.port, toRequest(method, path));
      await app.line(isRequest);
      const lines = app.lines().filter(isRequest);
      assert.equal(lines.length, 1);
      const [logged = {}] = lines;
      assert.equal(logged['level'], level);
      for (const [member, value] of Object.entries({ server: 'test', ip: '127.0.0.1', method, path, ...line }))
        assert.equal(logged[member], value, member);
      assert.equal(typeof logged['ms'], 'number');
      assert.equal(logged['isAborted'], undefined);
    });
  }

  it('says why an error of ours happened', async (t) => {
    const app = await start(t);
    await sendRaw(app.port, toRequest('GET', '/broken'));
    assert.match(String((await app.line(isRequest))['cause']), /TypeError: nobody foresaw this\n\s+at /);
  });

  it('holds no header, no body and no query string', async (t) => {
    const app = await start(t);
    const secret = 'S3CR3T';
    const body = JSON.stringify({ assertion: secret, privateClaims: { a: secret } });
    const headers = [
      `Authorization: Bearer ${secret}`,
      `Cookie: sid=${secret}`,
      `X-Api-Key: ${secret}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ];
    await sendRaw(app.port, toRequest('POST', `/echo?token=${secret}`, headers, body));
    await sendRaw(app.port, toRequest('POST', `/none?assertion=${secret}#${secret}`, headers, body));
    await sendRaw(app.port, toRequest('POST', '/echo', headers, `x${body.slice(1)}`));
    await app.line(({ status }) => status === 404);
    await app.line(({ status }) => status === 400);
    assert.doesNotMatch(JSON.stringify(app.lines()), new RegExp(secret));
  });

  it('holds no token and no password that someone put into a target', async (t) => {
    const app = await start(t);
    const jwt = `eyJhbGciOiJIUzI1NiJ9.${'x'.repeat(20)}.${'y'.repeat(20)}`;
    await sendRaw(app.port, toRequest('GET', `http://user:S3CR3T@host/none/${jwt}/more`));
    assert.equal((await app.line(isRequest))['path'], '/none/[redacted]/more');
  });

  it('cuts long paths', async (t) => {
    const app = await start(t);
    await sendRaw(app.port, toRequest('GET', `/${'a'.repeat(5_000)}`));
    assert.equal(String((await app.line(isRequest))['path']).length, 256);
  });

  it('writes a line feed in a path so that no line can be forged', async (t) => {
    const app = await start(t);
    await sendRaw(app.port, toRequest('GET', '/a%0a{"level":60}'));
    assert.equal((await app.line(isRequest))['path'], '/a%0a{"level":60}');
    assert.equal(app.lines().length, 1);
  });

  const IDS: Readonly<Record<string, { given: readonly string[]; isTaken: boolean }>> = {
    'a good one': { given: ['X-Request-Id: proxy-1.a:b_2'], isTaken: true },
    'the longest': { given: [`X-Request-Id: ${'a'.repeat(128)}`], isTaken: true },
    'one that is too long': { given: [`X-Request-Id: ${'a'.repeat(129)}`], isTaken: false },
    'one with odd characters': { given: ['X-Request-Id: a"b'], isTaken: false },
    'an empty one': { given: ['X-Request-Id:'], isTaken: false },
    two: { given: ['X-Request-Id: a', 'X-Request-Id: b'], isTaken: false },
    none: { given: [], isTaken: false },
  };
  for (const [name, { given, isTaken }] of Object.entries(IDS)) {
    it(`${isTaken ? 'takes over' : 'makes'} the request id, in answer and line: ${name}`, async (t) => {
      const app = await start(t);
      const { headers } = parseAnswer(await sendRaw(app.port, toRequest('GET', '/ok', given)));
      const id = headers['x-request-id'] ?? '';
      if (isTaken) assert.equal(`X-Request-Id: ${id}`, given[0]);
      else assert.match(id, /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
      assert.equal((await app.line(isRequest))['requestId'], id);
    });
  }

  it('marks a request that its caller gave up', async (t) => {
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const app = await start(t, () => arrive());
    const connection = await openRaw(app.port);
    connection.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;
    connection.socket.destroy();
    const line = await app.line(isRequest);
    assert.deepEqual([line['isAborted'], line['level'], line['path']], [true, LEVELS.info, '/slow']);
  });

  it('censors what a log call carries by mistake', () => {
    const script = [
      "import { createLogger } from './src/http/access-log.js';",
      "const secret = 'S3CR3T';",
      "createLogger('info').info({ token: secret, request: { authorization: secret, privateClaims: { a: secret } }, clientSecret: secret }, 'x');",
    ].join('\n');
    const cwd = fileURLToPath(new URL('../../..', import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd,
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    const line = JSON.parse(stdout) as LogLine;
    const censored = '[redacted]';
    assert.deepEqual(
      [line['token'], line['request'], line['clientSecret'], line['msg']],
      [censored, { authorization: censored, privateClaims: censored }, censored, 'x'],
    );
  });
});
