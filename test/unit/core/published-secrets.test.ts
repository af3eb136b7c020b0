import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { findPublication } from '../../../src/core/published-secrets.ts';

/** Published secrets as they stand where they are published, and as people change them. */
const PUBLISHED: Readonly<Record<string, string>> = {
  'the sample of jwt.io for HS256': 'a-string-secret-at-least-256-bits-long',
  'the sample of jwt.io for HS384': 'a-valid-string-secret-that-is-at-least-384-bits-long',
  'the sample of jwt.io for HS512': 'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long',
  'the former sample of jwt.io, filled up with zeros': 'your-256-bit-secret0000000000000',
  'filled up with spaces': 'your-256-bit-secret             ',
  'filled up with signs of equality': 'your-512-bit-secret=============',
  'filled up with its own last letter': 'your-256-bit-secretttttttttttttt',
  'filled up with digits': 'your-256-bit-secret1234567890123',
  'filled up at its beginning': 'xxxxxxxxxxxxxyour-256-bit-secret',
  repeated: 'your-256-bit-secretyour-256-bit-secret',
  'repeated, and cut off': 'your-256-bit-secretyour-256-bit-',
  'in capitals': 'YOUR-256-BIT-SECRET-000000000000',
  'with other signs between': 'your_256_bit_secret_____________________',
  'the sample of the seeds, filled up': 'MySecretKey123MySecretKey123MySe',
  'the key of RFC 7515': 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
  'the same in the other base64, padded':
    'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==',
  'the key of RFC 7520': 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FjG-Onbc6mxCcYg',
  'the key of FastAPI': '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  'the key of NestJS':
    'DO NOT USE THIS VALUE. INSTEAD, CREATE A COMPLEX SECRET AND KEEP IT SAFE OUTSIDE OF THE SOURCE CODE.',
  'the key of Supabase': 'super-secret-jwt-token-with-at-least-32-characters-long',
  'the key of PostgREST': 'reallyreallyreallyreallyverysafe',
  'a word, repeated': 'secretsecretsecretsecretsecretse',
  'the alphabet': 'abcdefghijklmnopqrstuvwxyz0123456789',
};

/** Secrets that are like published ones and are none. */
const OTHERS: Readonly<Record<string, string>> = {
  nothing: '',
  'signs alone': '-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_',
  'another sentence': 'a-string-secret-of-my-own-that-nobody-else-has',
  'a published one with words of its own behind it': 'your-256-bit-secret-for-the-web-chat-of-acme',
};

describe('a secret that anyone can read', () => {
  for (const [name, secret] of Object.entries(PUBLISHED)) {
    it(`is known: ${name}`, () => assert.notEqual(findPublication(secret), undefined));
  }
  for (const [name, secret] of Object.entries(OTHERS)) {
    it(`is not: ${name}`, () => assert.equal(findPublication(secret), undefined));
  }

  it('is none that was made at random, in any form', () => {
    for (const form of ['base64', 'base64url', 'hex'] as const) {
      for (let index = 0; index < 200; index++) {
        assert.equal(findPublication(randomBytes(32).toString(form)), undefined);
      }
    }
  });

  it('is looked for in bounded time, however long the secret', () => {
    const startedAtMs = performance.now();
    for (const secret of ['a'.repeat(1_024), `${'ab'.repeat(511)}c`, '1'.repeat(1_024)]) findPublication(secret);
    assert.ok(performance.now() - startedAtMs < 1_000);
  });
});
