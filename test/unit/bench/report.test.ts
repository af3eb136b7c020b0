import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { placeBlock, toFacts, toMedian, toQuantile, toSpread } from '../../../bench/report.ts';

const CIRCUMSTANCES = {
  date: '2026-01-01',
  machine: 'M',
  nodeVersion: '20',
  load: 'L',
  rounds: 'R.',
  othersLoad: 0.42,
};

describe('the report of the bench', () => {
  const MEDIANS: readonly [number[], number][] = [
    [[7], 7],
    [[9, 1, 5], 5],
    [[10, 9, 1, 2], 5.5],
  ];
  for (const [values, median] of MEDIANS) {
    it(`takes ${median} of ${values.join(', ')}`, () => assert.equal(toMedian(values), median));
  }

  it('finds the value that a share of them does not exceed', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    const quantiles = [0.5, 0.99, 1].map((share) => toQuantile(values, share));
    assert.deepEqual([...quantiles, toQuantile([7], 0.99)], [100, 198, 200, 7]);
  });

  it('says between what the rounds lay', () =>
    assert.equal(
      toSpread([2, 3, 1], (value) => value.toFixed(1)),
      '1.0 – 3.0',
    ));

  it('keeps the blocks of a page apart', () => {
    const page = '<!-- bench: begin -->\na\n<!-- bench: end -->\n<!-- soak: begin -->\nb\n<!-- soak: end -->\n';
    assert.equal(placeBlock(page, 'soak', 'c'), page.replace('\nb\n', '\nc\n'));
    assert.equal(placeBlock(placeBlock(page, 'soak', 'c'), 'soak', 'c'), placeBlock(page, 'soak', 'c'));
    assert.throws(() => placeBlock(page, 'other', 'c'));
  });

  it('says what the figures hold for', () => {
    assert.deepEqual(toFacts(CIRCUMSTANCES).split('\n'), [
      '- Measured 2026-01-01 by `npm run bench`.',
      '- Machine: M. Node 20.',
      '- Load: L. R.',
      '- What else the machine did when it began: a load of 0.4.',
    ]);
  });
});
