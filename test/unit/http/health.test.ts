import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ReadinessCheck } from '../../../src/http/health.ts';
import { startApp } from './app-under-test.ts';
import { parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const ok: ReadinessCheck = () => Promise.resolve(undefined);
const bad: ReadinessCheck = () => Promise.resolve('redis is not connected');

const CASES: Readonly<
  Record<string, { checks: Record<string, ReadinessCheck>; status: number; shown: Record<string, string> }>
> = {
  'nothing to check': { checks: {}, status: 200, shown: {} },
  'all well': { checks: { store: ok, keys: ok }, status: 200, shown: { store: 'ok', keys: 'ok' } },
  'one wrong': {
    checks: { store: bad, keys: ok },
    status: 503,
    shown: { store: 'redis is not connected', keys: 'ok' },
  },
  'all wrong': {
    checks: { store: bad, keys: bad },
    status: 503,
    shown: { store: 'redis is not connected', keys: 'redis is not connected' },
  },
  'one that throws': {
    checks: { store: () => Promise.reject(new Error('secret')), keys: ok },
    status: 503,
    shown: { store: 'the check failed', keys: 'ok' },
  },
};

describe('health', () => {
  for (const [name, { checks, status, shown }] of Object.entries(CASES)) {
    it(`/readyz says which dependency is wrong, /healthz that the process lives: ${name}`, async (t) => {
      const app = await startApp(t, () => undefined, { checks });
      const ready = parseAnswer(await sendRaw(app.port, toRequest('GET', '/readyz')));
      assert.equal(ready.status, status);
      assert.equal(ready.headers['cache-control'], 'no-store');
      assert.deepEqual(JSON.parse(ready.body), { status: status === 200 ? 'ok' : 'unavailable', checks: shown });
      assert.equal(parseAnswer(await sendRaw(app.port, toRequest('GET', '/healthz'))).body, '{"status":"ok"}');
      assert.equal(parseAnswer(await sendRaw(app.port, toRequest('HEAD', '/healthz'))).status, 200);
    });
  }
});
