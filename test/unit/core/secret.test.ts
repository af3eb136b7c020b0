import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { format, inspect } from 'node:util';

import { isHashOf, isSameText, Secret, sha256Hex } from '../../../src/core/secret.ts';

const VALUE = 'correct horse battery staple';

describe('a Secret', () => {
  const secret = new Secret(VALUE);
  const printed: Record<string, () => string> = {
    'a template': () => `a ${String(secret)}`,
    'a concatenation': () => ['', secret].join(''),
    JSON: () => JSON.stringify({ secret, list: [secret] }),
    inspect: () => inspect({ secret }, { showHidden: true, depth: Infinity, getters: true }),
    format: () => format('%s %o %O %j', secret, secret, secret, secret),
    'its keys': () => Reflect.ownKeys(secret).join(),
    'a copy': () => JSON.stringify(Object.assign({}, secret)),
    'a clone': () => inspect(structuredClone(secret)),
    'an error': () => inspect(new Error(`bad ${String(secret)}`, { cause: secret })),
  };
  for (const [name, print] of Object.entries(printed)) {
    test(`does not show in ${name}`, () => assert.ok(!print().includes('horse'), print()));
  }

  test('says what it is, and reveals its value when asked', () => {
    assert.equal(String(secret), '[secret]');
    assert.equal(JSON.stringify([secret]), '["[secret]"]');
    assert.equal(secret.reveal(), VALUE);
    assert.equal(new Secret('').reveal(), '');
  });
});

test('sha256Hex is SHA-256 of the UTF-8 bytes (FIPS 180-4 examples)', () => {
  const digests = {
    '': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    abc: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq:
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  };
  for (const [text, digest] of Object.entries(digests)) assert.equal(sha256Hex(text), digest);
  assert.notEqual(sha256Hex('\u00e9'), sha256Hex('e\u0301'));
});

test('isSameText compares whole texts', () => {
  const same = ['', 'a', VALUE, 'ä😀\u0000'];
  for (const text of same) assert.equal(isSameText(text, Buffer.from(text).toString()), true);
  const different = [
    ['', 'a'],
    ['a', 'A'],
    [VALUE, `${VALUE} `],
    [VALUE, VALUE.slice(1)],
    ['a\u0000', 'a\u0000b'],
    ['\u00e9', 'e\u0301'],
  ] as const;
  for (const [a, b] of different) assert.equal(isSameText(a, b), false, inspect([a, b]));
});

test('both compare in constant time: nothing but timingSafeEqual says whether bytes are the same', () => {
  for (const compare of [isSameText, isHashOf]) {
    const code = String(compare);
    assert.match(code, /timingSafeEqual\(/);
    // Lengths are no secret: both sides are hashes.
    assert.doesNotMatch(code.replaceAll(/\.length\s*===/g, ''), /[!=]==|\.equals\(|\.compare\(|startsWith|indexOf/);
  }
});

test('isHashOf takes the text that was hashed, and no malformed hash', () => {
  const hash = sha256Hex(VALUE);
  assert.equal(isHashOf(VALUE, hash), true);
  assert.equal(isHashOf(VALUE, hash.toUpperCase()), true);
  assert.equal(isHashOf(`${VALUE} `, hash), false);
  for (const malformed of ['', 'zz', hash.slice(2), `${hash}00`, hash.replace(/^./, 'g'), VALUE]) {
    assert.equal(isHashOf(VALUE, malformed), false, malformed);
    assert.equal(isHashOf('', malformed), false, malformed);
  }
});
