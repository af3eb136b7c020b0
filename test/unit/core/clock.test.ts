import assert from 'node:assert/strict';
import { test } from 'node:test';

import { systemClock, toIsoDate } from '../../../src/core/clock.ts';

test("the machine's clock counts seconds since the epoch, with a fraction", () => {
  const beforeMs = Date.now();
  const nowSeconds = systemClock.nowSeconds();
  assert.ok(nowSeconds * 1000 >= beforeMs - 1 && nowSeconds * 1000 <= Date.now() + 1);
});

test('a NumericDate is shown as ISO 8601 with milliseconds', () => {
  const shown = {
    '1970-01-01T00:00:00.000Z': 0,
    '2021-01-28T05:03:06.883Z': 1611810186.883,
    '2023-11-14T22:13:20.000Z': 1_700_000_000,
    '2023-11-14T22:13:20.001Z': 1_700_000_000.0006,
  };
  for (const [text, atSeconds] of Object.entries(shown)) assert.equal(toIsoDate(atSeconds), text);
});
