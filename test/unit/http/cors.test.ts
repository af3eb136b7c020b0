import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import { allowOrigins, type CorsPolicy } from '../../../src/http/cors.ts';
import { allowOnly } from '../../../src/http/refusals.ts';
import { sendJson } from '../../../src/http/respond.ts';
import { startApp } from './app-under-test.ts';
import { parseAnswer, sendRaw, toRequest } from './raw-http.ts';

const LISTED: CorsPolicy = {
  origins: ['https://page.example', 'http://other.example:8080'],
  allowLoopback: false,
  allowCredentials: false,
};
const LOOPBACK: CorsPolicy = { origins: ['https://page.example'], allowLoopback: true, allowCredentials: false };
const NOBODY: CorsPolicy = { origins: [], allowLoopback: false, allowCredentials: false };

/** A policy, an origin, and whether its pages may read. */
const CASES: Readonly<Record<string, { policy: CorsPolicy; origin: string; may: boolean }>> = {
  'a listed origin': { policy: LISTED, origin: 'https://page.example', may: true },
  'another listed origin': { policy: LISTED, origin: 'http://other.example:8080', may: true },
  'an unlisted origin': { policy: LISTED, origin: 'https://evil.example', may: false },
  'another scheme': { policy: LISTED, origin: 'http://page.example', may: false },
  'another port': { policy: LISTED, origin: 'https://page.example:444', may: false },
  'another case': { policy: LISTED, origin: 'https://PAGE.example', may: false },
  'a listed name as a prefix': { policy: LISTED, origin: 'https://page.example.evil.example', may: false },
  'a listed name as a suffix': { policy: LISTED, origin: 'https://evil-page.example', may: false },
  null: { policy: LISTED, origin: 'null', may: false },
  'a star': { policy: LISTED, origin: '*', may: false },
  'loopback where it is not allowed': { policy: LISTED, origin: 'http://localhost:8080', may: false },
  localhost: { policy: LOOPBACK, origin: 'http://localhost:8080', may: true },
  '127.0.0.1': { policy: LOOPBACK, origin: 'https://127.0.0.1', may: true },
  '::1': { policy: LOOPBACK, origin: 'http://[::1]:3000', may: true },
  'a listed origin beside loopback': { policy: LOOPBACK, origin: 'https://page.example', may: true },
  'a name that begins like loopback': { policy: LOOPBACK, origin: 'http://localhost.evil.example', may: false },
  'an address that begins like loopback': { policy: LOOPBACK, origin: 'http://127.0.0.1.evil.example', may: false },
  'null where loopback is allowed': { policy: LOOPBACK, origin: 'null', may: false },
  'anyone where nobody is listed': { policy: NOBODY, origin: 'https://page.example', may: false },
};

const PATHS = { '/': 200, '/fails': 503, '/get-only': 405, '/none': 404 } as const;

describe('CORS', () => {
  for (const [name, { policy, origin, may }] of Object.entries(CASES)) {
    it(`${may ? 'lets in' : 'keeps out'} ${name}: answers, failures and preflights`, async (t) => {
      const app = await startApp(t, (server) => {
        server.use(allowOrigins(policy));
        server.post('/', (_req, res) => sendJson(res, 200, {}));
        server.post('/fails', () => {
          throw new AppError('store_unavailable');
        });
        server.route('/get-only').all(allowOnly('GET'));
      });
      for (const [path, status] of Object.entries(PATHS)) {
        const answer = parseAnswer(await sendRaw(app.port, toRequest('POST', path, [`Origin: ${origin}`])));
        assert.equal(answer.status, status);
        assert.equal(answer.headers['access-control-allow-origin'], may ? origin : undefined);
        assert.match(answer.headers['vary'] ?? '', /\bOrigin\b/);
        assert.equal(answer.headers['access-control-expose-headers'], 'x-request-id,retry-after,www-authenticate');
        assert.equal(answer.headers['access-control-allow-credentials'], undefined);
      }
      const asks = [
        `Origin: ${origin}`,
        'Access-Control-Request-Method: POST',
        'Access-Control-Request-Headers: content-type',
      ];
      const preflight = parseAnswer(await sendRaw(app.port, toRequest('OPTIONS', '/', asks)));
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers['access-control-allow-origin'], may ? origin : undefined);
      assert.equal(
        preflight.headers['access-control-allow-headers'],
        'content-type,authorization,x-rtm-v,alg,typ,dpop',
      );
      assert.equal(preflight.headers['access-control-allow-methods'], 'GET,POST');
      assert.equal(preflight.headers['access-control-max-age'], '600');
      assert.match(preflight.headers['vary'] ?? '', /\bOrigin\b/);
    });
  }

  it('tells caches that the origin matters, also to who sends none', async (t) => {
    const app = await startApp(t, (server) => {
      server.use(allowOrigins(LISTED));
      server.post('/', (_req, res) => sendJson(res, 200, {}));
    });
    const { headers } = parseAnswer(await sendRaw(app.port, toRequest('POST', '/')));
    assert.equal(headers['vary'], 'Origin');
    assert.equal(headers['access-control-allow-origin'], undefined);
  });

  it('lets cookies through where it is told to', async (t) => {
    const app = await startApp(t, (server) => void server.use(allowOrigins({ ...LISTED, allowCredentials: true })));
    const { headers } = parseAnswer(await sendRaw(app.port, toRequest('POST', '/', ['Origin: https://page.example'])));
    assert.equal(headers['access-control-allow-credentials'], 'true');
  });
});
