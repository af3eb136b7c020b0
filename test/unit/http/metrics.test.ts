import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Secret } from '../../../src/core/secret.ts';
import { limitRate } from '../../../src/http/rate-limit.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { type AppUnderTest, startApp } from './app-under-test.ts';
import { openRaw, parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const readSeries = async (app: AppUnderTest): Promise<string[]> =>
  (await app.metrics.registry.metrics())
    .split('\n')
    .filter((line) => line.startsWith('countersign_http_requests_total{'))
    .sort();

const toLine = (method: string, route: string, status: number | string, count: number): string =>
  `countersign_http_requests_total{server="test",method="${method}",route="${route}",status="${status}"} ${count}`;

describe('metrics', () => {
  it('count by method, route and status, and unknown ones together', async (t) => {
    const app = await startApp(t, (server) => void server.get('/things/:id', (_req, res) => sendJson(res, 200, {})));
    for (let index = 0; index < 20; index++) {
      await sendRaw(app.port, toRequest('GET', `/things/${index}`));
      await sendRaw(app.port, toRequest('GET', `/none/${index}?x=${index}`));
    }
    for (const method of ['PROPFIND', 'PURGE', 'SEARCH']) await sendRaw(app.port, toRequest(method, '/things/1'));
    assert.deepEqual(await readSeries(app), [
      toLine('GET', '/things/:id', 200, 20),
      toLine('GET', 'unmatched', 404, 20),
      toLine('other', 'unmatched', 404, 3),
    ]);
  });

  it('count a request that its caller gave up as aborted', async (t) => {
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const app = await startApp(t, (server) => void server.get('/slow', () => arrive()));
    const connection = await openRaw(app.port);
    connection.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;
    connection.socket.destroy();
    await app.line(({ isAborted }) => isAborted === true);
    assert.deepEqual(await readSeries(app), [toLine('GET', '/slow', 'aborted', 1)]);
  });

  it('are text for Prometheus', async (t) => {
    const app = await startApp(t, () => undefined);
    app.metrics.countAssertion('granted');
    app.metrics.countMint('minted');
    const { status, headers, body } = parseAnswer(await sendRaw(app.port, toRequest('GET', '/metrics')));
    assert.equal(status, 200);
    assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
    assert.match(body, /^countersign_assertions_total\{outcome="granted"\} 1$/m);
    assert.match(body, /^countersign_mints_total\{outcome="minted"\} 1$/m);
    assert.match(body, /^countersign_process_cpu_user_seconds_total /m);
  });

  it('time what was answered', async (t) => {
    const app = await startApp(
      t,
      (server) =>
        void server.get('/a', limitRate({ perMinute: 9, refusal: 'busy' }), (_req, res) => sendJson(res, 200, {})),
    );
    await sendRaw(app.port, toRequest('GET', '/a'));
    const text = await app.metrics.registry.metrics();
    assert.match(text, /^countersign_http_request_duration_seconds_count\{server="test",route="\/a"\} 1$/m);
    assert.match(text, /^countersign_http_request_duration_seconds_bucket\{le="2.5",server="test",route="\/a"\} 1$/m);
  });

  const TOKEN = 'a-metrics-token-of-decent-length';
  for (const [header, status] of [
    [`Bearer ${TOKEN}`, 200],
    ['Bearer another', 401],
    ['', 401],
  ] as const) {
    it(`answer ${status} to "${header}" where a token is set`, async (t) => {
      const app = await startApp(t, () => undefined, { metricsToken: new Secret(TOKEN) });
      const answer = parseAnswer(await sendRaw(app.port, toRequest('GET', '/metrics', [`Authorization: ${header}`])));
      assert.equal(answer.status, status);
      assert.equal(answer.body.includes('countersign_process'), status === 200);
    });
  }
});
