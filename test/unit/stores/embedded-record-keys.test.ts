import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';

import { REPLAY_KEY_FORMATS } from '../../../src/idproxy/replay-key.ts';
import { toRecordKey } from '../../../src/stores/embedded-record-keys.ts';

const HASH = createHash('sha256').update('a').digest('base64url');
/** Names that are nearly that of a hash, and are not one. */
const NEAR = [
  HASH.slice(1),
  `${HASH}A`,
  `${HASH} `,
  `${HASH}=`,
  `${HASH}\u0000`,
  ` ${HASH}`,
  HASH.toUpperCase(),
  `${HASH.slice(0, 42)}B`,
  `+${HASH.slice(1)}`,
  `${HASH.slice(0, 42)}ü`,
  '',
  Buffer.from(HASH, 'base64url').toString('latin1'),
];

describe('the key of a record', () => {
  test('two names never have one key, whatever they are', () => {
    const names = [HASH, ...NEAR];
    const all = ['jti:v1:', 'jti:v2:', 'jti:v1', ''].flatMap((prefix) => names.map((name) => `${prefix}${name}`));
    const distinct = new Set(all);
    const keys = (['replay', 'session'] as const).flatMap((kind) =>
      ['0a1b', '0a1c'].flatMap((tag) => [...distinct].map((name) => toRecordKey(kind, tag, name).toString('latin1'))),
    );
    assert.equal(new Set(keys).size, 4 * distinct.size);
  });

  test('the tag comes first, and a hash takes no more than its bytes', () => {
    const replay = toRecordKey('replay', '0a1b', REPLAY_KEY_FORMATS.current('client', 'jti'));
    const session = toRecordKey('session', '0a1b', HASH);
    const former = REPLAY_KEY_FORMATS.former.map((format) => toRecordKey('replay', '0a1b', format('client', 'jti')));
    for (const key of [replay, session, ...former]) assert.equal(key.toString('hex', 0, 2), '0a1b');
    assert.deepEqual(
      [replay, session, ...former].map(({ length }) => length),
      [18, 35, 35],
    );
    assert.equal(session.toString('base64url', 3), HASH);
  });

  test('tags that are none keep names apart all the same', () => {
    const tags = ['', '0a1', '0a1b0', '0A1B', 'zzzz', '0a1\u0000', '0a1b', '0000', '0:', '4:0000'];
    const pairs = tags.flatMap((tag) => ['', 'b', '0', 'b0', `0:${tag}`].map((name) => [tag, name] as const));
    const keys = pairs.flatMap(([tag, name]) =>
      (['replay', 'session'] as const).map((kind) => toRecordKey(kind, tag, name).toString('latin1')),
    );
    assert.equal(new Set(keys).size, 2 * pairs.length);
  });
});
