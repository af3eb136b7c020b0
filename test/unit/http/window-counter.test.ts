import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createWindowCounter, MAX_COUNTED_KEYS } from '../../../src/http/window-counter.ts';

describe('a window counter', () => {
  it('counts each key for itself until the window is over', () => {
    let nowMs = 5_000;
    const counter = createWindowCounter({ windowMs: 60_000, monotonicMs: () => nowMs });
    assert.equal(counter.count('a'), 0);
    assert.deepEqual([counter.add('a'), counter.add('a'), counter.add('b')], [1, 2, 1]);
    nowMs += 59_999;
    assert.deepEqual([counter.count('a'), counter.count('b'), counter.count('c')], [2, 1, 0]);
    assert.equal(counter.secondsLeft(), 1);
    nowMs += 1;
    assert.deepEqual([counter.count('a'), counter.add('b')], [0, 1]);
    assert.equal(counter.secondsLeft(), 60);
  });

  it('gives back to the window that was taken from, never below nothing', () => {
    let nowMs = 0;
    const counter = createWindowCounter({ windowMs: 60_000, monotonicMs: () => nowMs });
    const first = counter.take('a');
    const second = counter.take('a');
    assert.deepEqual([first.count, second.count], [1, 2]);
    first.giveBack();
    assert.deepEqual([counter.count('a'), counter.take('a').count], [1, 2]);
    nowMs = 60_000;
    counter.add('a');
    second.giveBack();
    assert.equal(counter.count('a'), 1, 'the next window owes nothing');
    const third = counter.take('b');
    for (let count = 0; count < 3; count++) third.giveBack();
    assert.equal(counter.add('b'), 1);
  });

  it('keeps no more keys than its bound: those beyond count as one', () => {
    const counter = createWindowCounter({ windowMs: 60_000, monotonicMs: () => 0 });
    for (let index = 0; index < MAX_COUNTED_KEYS; index++) counter.add(`key ${index}`);
    assert.equal(counter.add('key 7'), 2);
    assert.deepEqual([counter.add('beyond'), counter.add('another beyond')], [1, 2]);
    assert.equal(counter.count('whoever'), 2);
  });
});
