import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createTokenBucket } from '../../../../src/sessions/socket/token-bucket.ts';

test('a burst, then the rate; what is not used is not saved up beyond the burst', () => {
  let nowMs = 0;
  const bucket = createTokenBucket(5, 3, () => nowMs);
  const takeAll = (): number => {
    let count = 0;
    while (bucket.take()) count++;
    return count;
  };
  assert.equal(takeAll(), 3);
  nowMs = 199;
  assert.equal(takeAll(), 0);
  nowMs = 200;
  assert.equal(takeAll(), 1);
  nowMs = 3_600_000;
  assert.equal(takeAll(), 3);
});
