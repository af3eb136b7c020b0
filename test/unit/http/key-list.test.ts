import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256Hex } from '../../../src/core/secret.ts';
import { KeyListError, parseKeyList } from '../../../src/http/key-list.ts';

const HASH = sha256Hex('key');

describe('a key list', () => {
  it('finds a key by its hash and passes over comments and empty lines', () => {
    const keys = parseKeyList(`# ours\n\n  back end:${HASH}  \r\nmobile@x.y-z_1:${sha256Hex('other')}\n`);
    assert.equal(keys.size, 2);
    assert.deepEqual(
      [keys.find('key'), keys.find('other'), keys.find('none'), keys.find(HASH), keys.find('')],
      ['back end', 'mobile@x.y-z_1', undefined, undefined, undefined],
    );
  });

  it('of nothing finds nothing', () => assert.equal(parseKeyList('').find(''), undefined));

  const BAD: Readonly<Record<string, string>> = {
    'a key in clear': 'label:csk_secret',
    'no label': `:${HASH}`,
    'upper case': `label:${HASH.toUpperCase()}`,
    'a short hash': `label:${HASH.slice(1)}`,
    'a long label': `${'a'.repeat(65)}:${HASH}`,
    'a colon in the label': `a:b:${HASH}`,
  };
  for (const [name, line] of Object.entries(BAD)) {
    it(`is refused, by line and without quoting it: ${name}`, () => {
      assert.throws(
        () => parseKeyList(`ok:${HASH}\n${line}`),
        (error) => {
          assert.ok(error instanceof KeyListError);
          assert.equal(error.message, 'line 2 is not label:sha256');
          return true;
        },
      );
    });
  }
});
