import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import {
  createAnonymousIdentity,
  createClientId,
  createJti,
  createToken,
  toStableUuid,
} from '../../../src/core/ids.ts';

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

const made: Record<string, { create: () => string; form: RegExp }> = {
  'an anonymous identity is 128 bits': { create: createAnonymousIdentity, form: /^[\w-]{22}$/ },
  'a client id is cs- and a random UUID': { create: createClientId, form: new RegExp(`^cs-${UUID}$`) },
  'a jti is a version 4 UUID': {
    create: createJti,
    form: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  },
  'a token of 32 bytes is base64url': { create: () => createToken(32), form: /^[\w-]{43}$/ },
};

for (const [name, { create, form }] of Object.entries(made)) {
  test(`${name}, and never the same`, () => {
    const values = Array.from({ length: 1_000 }, create);
    for (const value of values) assert.match(value, form);
    assert.equal(new Set(values).size, values.length);
  });
}

test('a token has the bytes that were asked for', () => {
  for (const bytes of [1, 8, 16, 32, 64]) assert.equal(Buffer.from(createToken(bytes), 'base64url').length, bytes);
});

describe('a stable UUID', () => {
  const key = Buffer.alloc(32, 1);

  test('is version 8 of RFC 9562, and the same for the same key and parts', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (parts) => {
        const id = toStableUuid(key, ...parts);
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.equal(toStableUuid(Buffer.from(key), ...parts), id);
      }),
    );
  });

  test('has its value from outside: the HMAC of "4:cs-1" and "5:alice", computed with Python', () => {
    assert.equal(toStableUuid(key, 'cs-1', 'alice'), '79842300-a14b-8604-87b8-1f69fe4dbcc6');
  });

  test('differs with the key, the parts, their order and the boundary between them', () => {
    const ids = [
      toStableUuid(key, 'tenant1', '0abc'),
      toStableUuid(key, 'tenant10', 'abc'),
      toStableUuid(key, 'tenant10abc'),
      toStableUuid(key, '0abc', 'tenant1'),
      toStableUuid(key, 'tenant1', '0abc', ''),
      toStableUuid(key, 'tenant1', '4:0abc'),
      toStableUuid(key, 'tenant14:0abc'),
      toStableUuid(key, '7:tenant1', '0abc'),
      toStableUuid(Buffer.alloc(32, 2), 'tenant1', '0abc'),
      toStableUuid(key),
      toStableUuid(key, ''),
    ];
    assert.equal(new Set(ids).size, ids.length);
  });
});
