import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';

import { REPLAY_KEY_FORMATS, toTag } from '../../../src/idproxy/replay-key.ts';

const PAIR = ['cs-1', 'älice\u0000'] as const;
/** SHA-256 of `4:cs-1`, `7:älice\0`. */
const HASH = createHash('sha256').update('4:cs-17:älice\u0000').digest();

describe('the names of replay records', () => {
  test('the tag and the name are the first 17 bytes of the hash', () => {
    assert.equal(toTag(...PAIR), HASH.toString('hex', 0, 2));
    assert.equal(REPLAY_KEY_FORMATS.current(...PAIR), `jti:v2:${HASH.toString('base64url', 2, 17)}`);
    assert.match(REPLAY_KEY_FORMATS.current(...PAIR), /^jti:v2:[\w-]{20}$/);
  });

  test('what versions wrote that may still have records is read, to the letter', () => {
    const names = REPLAY_KEY_FORMATS.former.map((format) => format(...PAIR));
    assert.deepEqual(names, [`jti:v1:${HASH.toString('base64url')}`]);
  });

  test('shifting the boundary between client and jti makes other names', () => {
    const pairs = [
      ['tenant1', '0abc'],
      ['tenant10', 'abc'],
      ['tenant1', '0ab'],
      ['', 'tenant10abc'],
      ['tenant10abc', ''],
      ['tenant1', '4:0abc'],
    ] as const satisfies [string, string][];
    const names = new Set(pairs.map(([client, jti]) => toTag(client, jti) + REPLAY_KEY_FORMATS.current(client, jti)));
    assert.equal(names.size, pairs.length);
  });
});
