import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { KeyError } from '../../../src/jose/jwk.ts';
import { createJwsSigner, createJwsVerifier, parseClientSecret } from '../../../src/jose/jws.ts';
import { MAX_SECRET_BYTES } from '../../../src/jose/limits.ts';

/** Secrets that are refused, and why. */
const REFUSED: Readonly<Record<string, readonly [secret: string, why: RegExp]>> = {
  'none at all': ['', /shorter than 32 bytes/],
  '31 random bytes of text': [randomBytes(24).toString('base64url').slice(0, 31), /shorter than 32 bytes/],
  'one that is too long': [
    randomBytes(1_024)
      .toString('hex')
      .slice(0, MAX_SECRET_BYTES + 1),
    /longer than 1024 bytes/,
  ],
  'one character': ['x'.repeat(64), /repeats a few characters/],
  'seven characters': ['abcdefg'.repeat(10), /repeats a few characters/],
  'ten characters, nearly all of them one': [`${'a'.repeat(54)}bcdefghijk`, /repeats a few characters/],
  'a short word, repeated': ['passwort'.repeat(4), /repeats a few characters/],
  'a hash of 128 bits': ['d131dd02c5e6eec4693d9a0698aff95c', /has at most 128 bits, as hexadecimal/],
  'hexadecimal of 31 bytes': [`a1${randomBytes(30).toString('hex')}`, /has at most 248 bits/],
  'base64 of 24 bytes': [`Zz${randomBytes(24).toString('base64').slice(2)}`, /has at most 192 bits, as base64/],
  'a PEM key': [`-----BEGIN PUBLIC KEY-----\n${randomBytes(200).toString('base64')}`, /is a PEM key/],
  'the sample of jwt.io': ['a-string-secret-at-least-256-bits-long', /is published \(jwt\.io, HS256\)/],
  'a published one in other letters': ['A_STRING_SECRET_AT_LEAST_256_BITS_LONG====', /is published/],
};

describe('a client secret', () => {
  for (const [name, [secret, why]] of Object.entries(REFUSED)) {
    it(`is refused, and not quoted: ${name}`, async () => {
      const isRefusal = (error: unknown): boolean =>
        error instanceof KeyError && why.test(error.message) && (secret === '' || !error.message.includes(secret));
      assert.throws(() => parseClientSecret(secret), isRefusal);
      await assert.rejects(createJwsSigner('HS256', secret), isRefusal);
      await assert.rejects(createJwsVerifier('HS512', secret), isRefusal);
    });
  }

  for (const form of ['hex', 'base64', 'base64url'] as const) {
    it(`is taken where it is random: ${form}`, () => {
      for (let index = 0; index < 2_000; index++) parseClientSecret(randomBytes(32).toString(form));
    });
  }
});
