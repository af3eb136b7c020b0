import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseSpeed } from '../../../bench/openssl-speed.ts';

const HMAC = '+H:256\n+F:9:hmac(sha256):256000.50\n';

describe('openssl speed', () => {
  const PRINTED: Readonly<Record<string, string>> = {
    '3.0': `+F2:2:2048:3577.777778:58200.000000\n${HMAC}`,
    '3.2, which measures encryption besides': `+F2:2:2048:3577.777778:58200.000000:57000.0:3500.0\n${HMAC}`,
  };
  for (const [name, text] of Object.entries(PRINTED)) {
    it(`is read as ${name} prints it`, () => {
      const { sign, verify, hmac } = parseSpeed(text);
      assert.deepEqual([Math.round(sign), verify, Math.round(hmac)], [3_578, 58_200, 1_000]);
    });
  }

  it('is not guessed at', () => {
    assert.throws(() => parseSpeed(HMAC), /something else/);
    assert.throws(() => parseSpeed('+F2:2:2048:0.000000:58200.000000\n'), /something else/);
  });
});
