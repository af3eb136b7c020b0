import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseSubprotocols, readProof, RTM_PROTOCOL } from '../../../../src/sessions/socket/subprotocols.ts';

const fields: Readonly<Record<string, readonly [field: string | undefined, names: readonly string[] | undefined]>> = {
  none: [undefined, []],
  one: ['x-rtm-v|1', ['x-rtm-v|1']],
  'three, with and without blanks': ['x-rtm-v|1,jwt|a.b-c_d , nonce|n', ['x-rtm-v|1', 'jwt|a.b-c_d', 'nonce|n']],
  empty: ['', undefined],
  'an empty one': ['a,,b', undefined],
  'twice the same': ['a, a', undefined],
  'a blank inside': ['a b', undefined],
  'a quotation mark': ['"a"', undefined],
};

describe('parseSubprotocols', () => {
  for (const [name, [field, names]] of Object.entries(fields))
    test(name, () => assert.deepEqual(parseSubprotocols(field), names));

  test('a long one takes no long time', () => {
    const from = performance.now();
    parseSubprotocols(`${','.repeat(30_000)}${' '.repeat(30_000)}x`);
    assert.ok(performance.now() - from < 200);
  });
});

test('a proof is whole and unambiguous, or none', () => {
  assert.deepEqual(readProof([RTM_PROTOCOL, 'jwt|t', 'nonce|n']), { token: 't', nonce: 'n' });
  for (const names of [
    ['jwt|t', 'nonce|n'],
    [RTM_PROTOCOL, 'jwt|t'],
    [RTM_PROTOCOL, 'jwt|t', 'nonce|n', 'nonce|m'],
  ])
    assert.equal(readProof(names), undefined);
});
