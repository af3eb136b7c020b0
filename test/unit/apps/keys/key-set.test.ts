import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';

import { KeySetError, MAX_JWKS_KEYS, parseKeySet } from '../../../../src/apps/keys/key-set.ts';
import { type CompactJws, parseCompact } from '../../../../src/jose/compact.ts';
import { createClaims, type Json, signToken } from '../../../support/assertions.ts';

const pair = (modulusLength = 2_048) => generateKeyPairSync('rsa', { modulusLength });
const [good, other, weak] = [pair(), pair(), pair(1_024)];
const jwk = (key: ReturnType<typeof pair>['publicKey'], more: Json = {}): Json => ({
  ...key.export({ format: 'jwk' }),
  ...more,
});
const pem = ({ privateKey }: ReturnType<typeof pair>): string =>
  privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const toJws = (header: Json, alg: string, key: string): CompactJws =>
  parseCompact(signToken(header, createClaims('cs-1', 1_000), alg, key)) as CompactJws;
const toText = (keys: unknown): string => JSON.stringify({ keys });
const GOOD = jwk(good.publicKey, { kid: 'a' });

/** Texts of which nothing is believed. */
const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
  'no JSON': ['<html>', /JSON/],
  empty: ['', /JSON/],
  'an array': [JSON.stringify([GOOD]), /object/],
  'a key in place of a set': [JSON.stringify(GOOD), /no JWKS/],
  'keys that are an object': [toText({ a: GOOD }), /no JWKS/],
  'a key that is text': [toText([GOOD, 'key']), /no JWKS/],
  'a key that is null': [toText([GOOD, null]), /no JWKS/],
  'two members keys': [`{"keys":[],"keys":[${JSON.stringify(GOOD)}]}`, /twice|duplicate/],
  'too many keys': [toText(Array.from({ length: MAX_JWKS_KEYS + 1 }, () => GOOD)), /more than 32/],
  'a private key': [toText([GOOD, jwk(other.privateKey as never)]), /symmetric or private/],
  'a symmetric key': [toText([GOOD, { kty: 'oct', k: 'c2VjcmV0' }]), /symmetric or private/],
  'a symmetric key without its secret': [toText([GOOD, { kty: 'oct' }]), /symmetric or private/],
  'half of a private key': [toText([GOOD, { ...jwk(other.publicKey), d: 'AQAB' }]), /symmetric or private/],
};

/** Members that are passed over. */
const PASSED: Readonly<Record<string, Json>> = {
  'for encryption': jwk(good.publicKey, { use: 'enc' }),
  'for a use nobody knows': jwk(good.publicKey, { use: 'SIG' }),
  'for other operations': jwk(good.publicKey, { key_ops: ['encrypt'] }),
  'operations that are text': jwk(good.publicKey, { key_ops: 'verify' }),
  'for another algorithm': jwk(good.publicKey, { alg: 'RS512' }),
  'for a family of algorithms that is not ours': jwk(good.publicKey, { alg: 'PS256' }),
  'for HMAC': jwk(good.publicKey, { alg: 'HS256' }),
  'of 1024 bits': jwk(weak.publicKey),
  'of another kind': { ...jwk(good.publicKey), kty: 'EC' },
  'without a modulus': { kty: 'RSA', e: 'AQAB' },
  'with a kid of another type': jwk(good.publicKey, { kid: 7 }),
};

describe('a JWKS', () => {
  for (const [name, [text, message]] of Object.entries(REFUSED)) {
    it(`is refused whole: ${name}`, () => {
      assert.throws(
        () => parseKeySet(text),
        (error) => error instanceof Error && (error instanceof KeySetError || error.name === 'JsonError') && message.test(error.message), // prettier-ignore
      );
    });
  }

  for (const [name, member] of Object.entries(PASSED)) {
    it(`has a member that is no key here: ${name}`, async () => {
      const set = parseKeySet(toText([{ kid: 'x', ...member }, jwk(other.publicKey, { kid: 'o' })]));
      const key = name === 'of 1024 bits' ? pem(weak) : pem(good);
      assert.equal(await set.verify(toJws({ alg: 'RS256', kid: 'x' }, 'RS256', key), 'RS256'), false);
      const named = toJws({ alg: 'RS256', kid: 'o' }, 'RS256', pem(other));
      assert.equal(await set.verify(named, 'RS256'), true, 'the others stay');
    });
  }

  it('is asked by kid where the token has one, and as a whole where it has none', async () => {
    const set = parseKeySet(
      toText([GOOD, jwk(other.publicKey, { kid: 'b', use: 'sig', alg: 'RS256', key_ops: ['verify'] })]),
    );
    const CASES: Readonly<Record<string, readonly [Json, boolean, boolean]>> = {
      'the first': [{ kid: 'a' }, true, false],
      'the second': [{ kid: 'b' }, false, true],
      none: [{}, true, true],
      unknown: [{ kid: 'c' }, false, false],
      null: [{ kid: null }, false, false],
      'a list': [{ kid: ['a'] }, false, false],
    };
    for (const [name, [header, byGood, byOther]] of Object.entries(CASES)) {
      const verify = (key: string) => set.verify(toJws({ alg: 'RS256', ...header }, 'RS256', key), 'RS256');
      assert.deepEqual([await verify(pem(good)), await verify(pem(other))], [byGood, byOther], name);
    }
    assert.equal(set.has('a', 'RS512'), true);
    assert.equal(set.has('b', 'RS512'), false);
  });

  it('takes no public key as a secret', async () => {
    const set = parseKeySet(toText([GOOD]));
    const text = good.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    assert.equal(await set.verify(toJws({ alg: 'HS256', kid: 'a' }, 'HS256', text), 'RS256'), false);
  });

  it('may be empty, and then nothing is signed by it', async () => {
    assert.equal(await parseKeySet('{"keys":[]}').verify(toJws({ alg: 'RS256' }, 'RS256', pem(good)), 'RS256'), false);
  });
});
