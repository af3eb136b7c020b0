import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MAX_QUOTED_LENGTH, quote } from '../../../src/core/quote.ts';

describe('what somebody else wrote is shown on one line, as what it is', () => {
  const SHOWN: Readonly<Record<string, readonly [unknown, string]>> = {
    'a text': ['alice@example.com', '"alice@example.com"'],
    'a quotation mark': ['a" b', '"a\\" b"'],
    'a line feed': ['a\nb', '"a\\nb"'],
    'an escape sequence': ['\u001b[2J', '"\\u001b[2J"'],
    'a C1 control': ['\u009b2J', '"\\u009b2J"'],
    'a mark of direction': ['a\u202eb', '"a\\u202eb"'],
    'a line separator': ['a\u2028b', '"a\\u2028b"'],
    'a lone surrogate': ['a\ud800', '"a\\ud800"'],
    'a format character of two units': ['\u{e0001}', '"\\udb40\\udc01"'],
    'other alphabets': ['Ünïcödé 漢字 🙂', '"Ünïcödé 漢字 🙂"'],
    nothing: [undefined, 'absent'],
    null: [null, 'null'],
    'a number': [7, '7'],
    'an array': [['HS256'], '["HS256"]'],
    'a text inside an array': [['\u202e'], '["\\u202e"]'],
  };
  for (const [what, [value, text]] of Object.entries(SHOWN)) test(what, () => assert.equal(quote(value), text));

  test('a long one is cut', () => {
    for (const long of ['x'.repeat(100_000), ['x'.repeat(100_000)], '\u009b'.repeat(1_000)]) {
      assert.equal(quote(long).length, MAX_QUOTED_LENGTH + 1);
      assert.ok(quote(long).endsWith('…'));
    }
  });
});
