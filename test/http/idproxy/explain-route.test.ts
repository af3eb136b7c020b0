import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createLogger } from '../../../src/http/access-log.ts';
import { createApp } from '../../../src/http/create-app.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import { type RunningServer, startServer } from '../../../src/http/server.ts';
import type { Explain, ExplainOptions } from '../../../src/idproxy/explain.ts';
import { createExplainRoutes } from '../../../src/idproxy/routes/explain.ts';

const EXPLAINED = { isAccepted: true, at: '2026-01-01T00:00:00.000Z', checks: [], otherMembers: [] };

describe('POST /admin/explain', () => {
  const asked: [string, ExplainOptions | undefined][] = [];
  const explain: Explain = async (token, options) => {
    asked.push([token, options]);
    return EXPLAINED;
  };
  let server: RunningServer;
  before(async () => {
    const deps = { metrics: createMetrics(), metricsToken: undefined, checks: {}, trustProxy: false } as const;
    const app = createApp({ ...deps, name: 'test', logger: createLogger('silent') }, (express) =>
      express.use(...createExplainRoutes({ explain })),
    );
    server = await startServer(app, { host: '127.0.0.1', port: 0 });
  });
  after(() => server.close());

  const post = async (body: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}/admin/explain`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    return { status: response.status, text: await response.text() };
  };

  test('hands token, app and time over, and answers what it is told', async () => {
    asked.length = 0;
    const { status, text } = await post({ token: 'a.b.c', app: 'cs-1', at: 7.5 });
    assert.deepEqual([status, JSON.parse(text)], [200, EXPLAINED]);
    assert.deepEqual(asked, [['a.b.c', { app: 'cs-1', at: 7.5 }]]);
  });

  test('takes the largest token that an exchange takes', async () => {
    assert.equal((await post({ token: 'x'.repeat(32_768) })).status, 200);
    assert.equal((await post({ token: 'x'.repeat(32_769) })).status, 400);
    assert.equal((await post({ token: 'x'.repeat(70_000) })).status, 413);
  });

  const REFUSED: Readonly<Record<string, readonly [unknown, RegExp]>> = {
    'no token': [{}, /"token\\" is missing/],
    'an empty token': [{ token: '' }, /"token\\" must have at least 1/],
    'a token in a list': [{ token: ['a.b.c'] }, /"token\\" must be a string/],
    'a member that is not known': [{ token: 'a', clientId: 'x' }, /"clientId\\" is not known here/],
    'a time as a text': [{ token: 'a', at: '2026' }, /"at\\" must be a number/],
    'a time in milliseconds': [{ token: 'a', at: 1_767_225_600_000 }, /"at\\" must be at most/],
    'a negative time': [{ token: 'a', at: -1 }, /"at\\" must be at least 0/],
  };
  for (const [what, [body, message]] of Object.entries(REFUSED)) {
    test(`400: ${what}`, async () => {
      const { status, text } = await post(body);
      assert.equal(status, 400, text);
      assert.match(text, message);
    });
  }

  test('405: another method', async () => {
    assert.equal((await fetch(`${server.url}/admin/explain`)).status, 405);
  });
});
