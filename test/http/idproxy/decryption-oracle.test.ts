import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import type { JWK } from 'jose';

import { encryptText } from '../../support/encrypt.ts';
import {
  type AppUnderTest,
  BACKENDS,
  type IdproxyUnderTest,
  seedsError,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const UNTRUSTED = seedsError(401, 'error verifying the jwt: not signed or encrypted by a known client');

describe('what cannot be decrypted', () => {
  let idproxy: IdproxyUnderTest;
  let app: AppUnderTest;
  let jwk: JWK;
  const asked: string[] = [];
  before(async () => {
    const open: typeof BACKENDS.embedded = async (clock) => {
      const { store, end } = await BACKENDS.embedded(clock);
      const documents: typeof store.documents = {
        ...store.documents,
        get: async (...args) => {
          asked.push(args[0]);
          return store.documents.get(...args);
        },
      };
      return { store: { ...store, documents }, end };
    };
    idproxy = await startIdproxyUnderTest(open);
    app = await idproxy.register({});
    jwk = (await idproxy.request('/.well-known/jwks.json')).body.keys[0];
  });
  after(() => idproxy.close());

  /** What the store is asked for while an assertion is refused in the one way that tells nothing. */
  const watch = async (assertion: string): Promise<readonly string[]> => {
    asked.length = 0;
    const { status, body } = await idproxy.authorize(assertion);
    assert.deepEqual([status, body], [401, UNTRUSTED]);
    return [...asked];
  };
  /** Changes one segment of a JWE in its middle. */
  const spoil = (jwe: string, segment: number): string => {
    const parts = jwe.split('.');
    const part = parts[segment] ?? '';
    const at = Math.floor(part.length / 2);
    parts[segment] = part.slice(0, at) + (part[at] === 'A' ? 'B' : 'A') + part.slice(at + 1);
    return parts.join('.');
  };

  test('asks the store what an unknown client does, once: neither more nor less work tells them apart', async () => {
    const own = { kid: jwk.kid };
    const unknown = await encryptText(app.sign({ iss: 'cs-nobody' }), jwk, own);
    const expected = await watch(unknown);
    assert.deepEqual(expected, ['apps'], 'an unknown client is looked for in the store, once');
    const foreign = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey.export({ format: 'jwk' });
    const CASES: Readonly<Record<string, string>> = {
      'a content key that was changed': spoil(unknown, 1),
      'a ciphertext that was changed': spoil(unknown, 3),
      'a tag that was changed': spoil(unknown, 4),
      'a known client, and a tag that was changed': spoil(await encryptText(app.sign(), jwk, own), 4),
      'for another key under our name': await encryptText(app.sign(), foreign, own),
      'for a key that is not there': await encryptText(app.sign(), jwk, { kid: 'somebody-else' }),
      'of an algorithm that no app allows': await encryptText(app.sign(), jwk, { ...own, alg: 'RSA-OAEP-512' }),
      'no JWS inside': await encryptText('{}', jwk, own),
      'a JWS of another kind inside': await encryptText(app.sign({}, { alg: 'HS256', typ: 'x' }), jwk, own),
      'no client inside': await encryptText(app.sign({ iss: 7 }), jwk, own),
    };
    for (const [name, assertion] of Object.entries(CASES)) assert.deepEqual(await watch(assertion), expected, name);
  });
});
