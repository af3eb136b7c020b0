/** What one request may cost in things that can be counted, whatever else the machine does. Warm: keys are imported, apps loaded. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { createJweEncrypter, type JweEncrypter } from '../../src/jose/jwe.ts';
import type { RsaPublicJwk } from '../../src/jose/jwk.ts';
import { type AppUnderTest, type IdproxyUnderTest, startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { type MemoryRequest, sendInMemory } from '../support/in-memory-request.ts';
import { createOperationCounter, type OperationCounts } from '../support/operation-counter.ts';

const KEY = 'k'.repeat(43);
const counter = createOperationCounter();
let idproxy: IdproxyUnderTest;
let apps: Readonly<Record<'HS256' | 'RS256', AppUnderTest>>;
let encrypter: JweEncrypter;
let bearer = '';

const post = (path: string, body: object, headers: Record<string, string> = {}): MemoryRequest => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

before(async () => {
  const sha256 = createHash('sha256').update(KEY).digest('hex');
  idproxy = await startIdproxyUnderTest(undefined, { introspectionKeys: `counts:${sha256}` });
  const [HS256, RS256] = await Promise.all(['HS256', 'RS256'].map((algorithm) => idproxy.register({ algorithm })));
  apps = { HS256, RS256 } as typeof apps;
  const { body } = await idproxy.request('/.well-known/jwks.json');
  const [jwk] = (body as { keys: RsaPublicJwk[] }).keys;
  encrypter = await createJweEncrypter(jwk as RsaPublicJwk, 'RSA-OAEP', 'A256GCM');
  bearer = ((await idproxy.authorize(apps.HS256.sign())).body as { access_token: string }).access_token;
});
after(() => idproxy.close());

const introspection = (): MemoryRequest =>
  post('/oauth/introspect', { token: bearer }, { authorization: `Bearer ${KEY}` });

/**
 * Each request, what it may call, and how many bytes its body has. The signature is one operation, the user's id a second one; the
 * replay record's key in both formats, its shard and the bearer's are digests.
 */
const REQUESTS: Readonly<
  Record<string, { make: () => MemoryRequest | Promise<MemoryRequest>; calls: OperationCounts; maxBytes: number }>
> = {
  '/authorize, HS256 with a jti': {
    make: () => post('/authorize', { assertion: apps.HS256.sign() }),
    calls: { createHmac: 2, hash: 4 },
    maxBytes: 160,
  },
  '/authorize, RS256 with a jti': {
    make: () => post('/authorize', { assertion: apps.RS256.sign() }),
    calls: { verify: 1, createHmac: 1, hash: 4 },
    maxBytes: 160,
  },
  'jwtgrant, a nested JWE': {
    make: async () => post('/api/1.1/oAuth/token/jwtgrant', { assertion: encrypter.encrypt(apps.HS256.sign()) }),
    calls: { 'subtle.decrypt': 1, createDecipheriv: 1, randomBytes: 1, createHmac: 3, hash: 4 },
    maxBytes: 640,
  },
  "introspection, as a platform's service": {
    make: introspection,
    calls: { hash: 1, createHash: 2 },
    maxBytes: 420,
  },
};

describe('one request', () => {
  for (const [name, { make, calls, maxBytes }] of Object.entries(REQUESTS)) {
    it(`costs what it must, and no more: ${name}`, async () => {
      assert.equal((await sendInMemory(idproxy.app, await make())).status, 200);
      const request = await make();
      let bytes = 0;
      const counts = await counter.count(async () => {
        const { status, text } = await sendInMemory(idproxy.app, request);
        assert.equal(status, 200, text);
        bytes = Buffer.byteLength(text);
      });
      // Random bytes come from a pool: now and then a request fills it for many.
      const { randomFillSync: _pool, ...steady } = counts;
      assert.deepEqual(steady, calls);
      assert.ok(bytes <= maxBytes, `${bytes} bytes`);
    });
  }
});
