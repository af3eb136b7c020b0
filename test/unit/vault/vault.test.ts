import assert from 'node:assert/strict';
import { createCipheriv, hkdfSync } from 'node:crypto';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import { createVault, MASTER_KEY_BYTES, VaultError } from '../../../src/vault/vault.ts';

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
const vault = createVault(KEY);
const CONTEXT = 'app:cs-1:secret';

const expectSealed = (call: () => unknown): void => assert.throws(call, VaultError);

describe('seal and open', () => {
  test('any text comes back under its context', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, context) => {
        assert.equal(vault.open(vault.seal(text, context), context), text);
      }),
    );
  });

  test('the same text is sealed differently every time', () => {
    const sealed = Array.from({ length: 100 }, () => vault.seal('text', CONTEXT));
    assert.equal(new Set(sealed).size, 100);
    assert.ok(sealed.every((one) => !one.includes('text') && !one.includes(Buffer.from('text').toString('base64url'))));
  });

  test('the form is v1, the key id, and AES-256-GCM that another implementation opens and makes', () => {
    const sealed = vault.seal('text', CONTEXT);
    assert.match(sealed, new RegExp(`^v1\\.${vault.keyId}\\.[\\w-]+$`));
    const sealingKey = Buffer.from(hkdfSync('sha256', KEY, '', 'countersign/seal', 32));
    const iv = Buffer.alloc(12, 9);
    const cipher = createCipheriv('aes-256-gcm', sealingKey, iv).setAAD(Buffer.from(CONTEXT));
    const parts = [iv, cipher.update('made elsewhere'), cipher.final(), cipher.getAuthTag()];
    const body = Buffer.concat(parts).toString('base64url');
    assert.equal(vault.open(`v1.${vault.keyId}.${body}`, CONTEXT), 'made elsewhere');
  });

  test('another master key does not open it, whatever it is called', () => {
    const other = createVault(Buffer.alloc(MASTER_KEY_BYTES, 7));
    const sealed = vault.seal('text', CONTEXT);
    assert.notEqual(other.keyId, vault.keyId);
    assert.throws(() => other.open(sealed, CONTEXT), {
      name: 'VaultError',
      message: 'sealed under another master key',
    });
    expectSealed(() => other.open(sealed.replace(vault.keyId, other.keyId), CONTEXT));
  });

  test('another context does not open it', () => {
    const sealed = vault.seal('text', CONTEXT);
    for (const context of ['', 'app:cs-2:secret', `${CONTEXT} `, CONTEXT.toUpperCase(), `${CONTEXT}\u0000`]) {
      expectSealed(() => vault.open(sealed, context));
    }
  });

  test('no single bit can be changed', () => {
    const sealed = vault.seal('a secret of some length', CONTEXT);
    const prefix = sealed.slice(0, sealed.lastIndexOf('.') + 1);
    const body = Buffer.from(sealed.slice(prefix.length), 'base64url');
    let flips = 0;
    for (let bit = 0; bit < body.length * 8; bit++) {
      const changed = Buffer.from(body);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expectSealed(() => vault.open(prefix + changed.toString('base64url'), CONTEXT));
      flips++;
    }
    assert.equal(flips, (12 + 'a secret of some length'.length + 16) * 8);
    assert.equal(vault.open(sealed, CONTEXT), 'a secret of some length');
  });

  for (const text of ['a secret', 'a secret.', 'a secret..']) {
    test(`no single character of the sealed text of ${text.length} bytes can be changed`, () => {
      const sealed = vault.seal(text, CONTEXT);
      for (let at = 0; at < sealed.length; at++) {
        for (const mask of [1, 2, 3, 4, 8, 16, 32, 64]) {
          const char = String.fromCharCode(sealed.charCodeAt(at) ^ mask);
          const changed = sealed.slice(0, at) + char + sealed.slice(at + 1);
          expectSealed(() => vault.open(changed, CONTEXT));
        }
      }
    });
  }

  test('nothing can be cut off or added', () => {
    const sealed = vault.seal('text', CONTEXT);
    for (let length = 0; length < sealed.length; length++) {
      expectSealed(() => vault.open(sealed.slice(0, length), CONTEXT));
    }
    for (const added of ['A', 'AAAA', '=', ' ', '\n', '.', '\u0000']) {
      expectSealed(() => vault.open(sealed + added, CONTEXT));
      expectSealed(() => vault.open(added + sealed, CONTEXT));
    }
  });
});

describe('the keys', () => {
  test('a master key of another length is a mistake of the caller', () => {
    for (const bytes of [0, 16, 31, 33, 64]) assert.throws(() => createVault(Buffer.alloc(bytes)), TypeError);
  });

  test('a purpose always has the same key, and no other purpose or master key has it', () => {
    const keys = ['seal', 'bearer', 'Bearer', 'bearer ', '', 'key-id'].map((purpose) => vault.deriveKey(purpose));
    const again = createVault(Buffer.from(KEY)).deriveKey('bearer');
    assert.deepEqual(again, keys[1]);
    assert.deepEqual(again, Buffer.from(hkdfSync('sha256', KEY, '', 'countersign/bearer', 32)));
    keys.push(createVault(Buffer.alloc(MASTER_KEY_BYTES, 7)).deriveKey('bearer'), KEY);
    assert.ok(keys.every((key) => key.length === 32));
    assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, keys.length);
  });

  test('the key id is stable and shows nothing of the key', () => {
    assert.match(vault.keyId, /^[0-9a-f]{8}$/);
    assert.equal(createVault(Buffer.from(KEY)).keyId, vault.keyId);
    assert.ok(!KEY.toString('hex').includes(vault.keyId));
  });
});
