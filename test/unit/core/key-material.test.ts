import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';

import { findMaterialProblem } from '../../../src/core/key-material.ts';

describe('the key material of a secret', () => {
  const ENOUGH: Readonly<Record<string, () => string>> = {
    '32 bytes as hexadecimal': () => randomBytes(32).toString('hex'),
    '32 bytes as hexadecimal in capitals': () => randomBytes(32).toString('hex').toUpperCase(),
    '32 bytes as base64, 44 characters, as platforms hand them out': () => randomBytes(32).toString('base64'),
    '32 bytes as base64url': () => randomBytes(32).toString('base64url'),
    '64 bytes as base64': () => randomBytes(64).toString('base64'),
    'two UUIDs and one more': () => [randomUUID(), randomUUID(), randomUUID()].join('-'),
    'text whose alphabet shows nothing': () =>
      `${randomBytes(12).toString('base64url')}!${randomBytes(12).toString('hex')}`,
  };
  for (const [name, make] of Object.entries(ENOUGH)) {
    it(`is enough: ${name}`, () => {
      for (let count = 0; count < 500; count++) assert.equal(findMaterialProblem(make()), undefined);
    });
  }

  const SHORT: Readonly<Record<string, readonly [make: () => string, says: RegExp]>> = {
    '16 bytes as hexadecimal': [
      () => `a${randomBytes(16).toString('hex').slice(1)}`,
      /^has at most 128 bits, as hexadecimal; .*64 digits/,
    ],
    '31 bytes as hexadecimal': [
      () => `a${randomBytes(31).toString('hex').slice(1)}`,
      /^has at most 248 bits, as hexadecimal/,
    ],
    '16 bytes as hexadecimal with colons': [
      () => `aa:${(randomBytes(15).toString('hex').match(/../g) ?? []).join(':')}`,
      /^has at most 128 bits, as hexadecimal/,
    ],
    'a UUID': [() => `a${randomUUID().slice(1)}`, /^has at most 128 bits/],
    '24 bytes as base64': [
      () => `z${randomBytes(24).toString('base64').slice(1)}`,
      /^has at most 192 bits, as base64; .*43 characters/,
    ],
    '31 bytes as base64': [() => `z${randomBytes(31).toString('base64').slice(1)}`, /^has at most 252 bits, as base64/],
    digits: [() => '31415926535897932384626433832795', /^has at most 106 bits, as decimal digits/],
  };
  for (const [name, [make, says]] of Object.entries(SHORT)) {
    it(`is too little, and not quoted: ${name}`, () => {
      for (let count = 0; count < 500; count++) {
        const secret = make();
        const problem = findMaterialProblem(secret) ?? '';
        assert.match(problem, says);
        assert.ok(!problem.includes(secret));
      }
    });
  }
});
