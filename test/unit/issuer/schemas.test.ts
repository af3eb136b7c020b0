import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isIdentity, mintRequestSchema } from '../../../src/issuer/schemas.ts';

const YES = [true, 1, 'true', '1'];
const NO = [false, 0, 'false', '0', undefined];
const NEITHER = ['', 'True', 'yes', 'on', 2, -1, 0.5, Number.NaN, null, [], {}, ['true']];

describe('the request for a token', () => {
  it('says whether the user is anonymous in these ways and no other', () => {
    for (const isAnonymous of YES)
      assert.equal(mintRequestSchema.parse({ isAnonymous }).isAnonymous, true, String(isAnonymous));
    for (const isAnonymous of NO)
      assert.equal(mintRequestSchema.parse({ isAnonymous }).isAnonymous, false, String(isAnonymous));
    for (const isAnonymous of NEITHER)
      assert.equal(mintRequestSchema.safeParse({ isAnonymous }).success, false, JSON.stringify(isAnonymous));
  });

  it('takes empty and null texts as left out', () => {
    const empty = { identity: '', identityToMerge: null, aud: '' };
    const { isAnonymous, ...texts } = mintRequestSchema.parse(empty);
    assert.equal(isAnonymous, false);
    assert.deepEqual(Object.values(texts), [undefined, undefined, undefined]);
  });

  it('forgets what it does not know', () => {
    const request = mintRequestSchema.parse({
      identity: 'a',
      clientId: 'cs-1',
      clientSecret: 's',
      privateClaims: {},
      iss: 'x',
    });
    assert.deepEqual(
      Object.keys(request).sort(),
      ['aud', 'identity', 'identityToMerge', 'isAnonymous'].filter((name) => name in request),
    );
    assert.equal(request.identity, 'a');
  });
});

describe('isIdentity', () => {
  const good = ['a', 'x'.repeat(256), 'Zoë', '😀', ' ', 'a b', '__proto__'];
  const bad = [
    '',
    'x'.repeat(257),
    'a\n',
    '\u0000',
    '\u007f',
    '\u0085',
    '\ud800',
    'a\udc00',
    7,
    true,
    null,
    undefined,
    ['a'],
    {},
  ];
  for (const value of good)
    it(`takes ${JSON.stringify(value).slice(0, 20)}`, () => assert.equal(isIdentity(value), true));
  for (const value of bad)
    it(`refuses ${JSON.stringify(value)?.slice(0, 20)}`, () => assert.equal(isIdentity(value), false));
});
