import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { placeBlock, placeFigures, toMedian, toQuantile, toTable } from '../../../bench/report.ts';

const toRounds = (...rates: number[]) => rates.map((rate) => ({ rate, cpuMicroseconds: 1e6 / rate }));
const MEASURED = [
  { name: 'first', rounds: toRounds(10_000, 40_000, 20_000) },
  { name: 'second', rounds: toRounds(5_000, 4_000, 8_000) },
];
const CIRCUMSTANCES = { date: '2026-01-01', machine: 'M', nodeVersion: '20', load: 'L', rounds: 'R.' };

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
    assert.deepEqual([toQuantile(values, 0.99), toQuantile(values, 0.5), toQuantile([7], 0.99)], [198, 100, 7]);
  });

  it('keeps the blocks of a page apart', () => {
    const page = '<!-- bench: begin -->\na\n<!-- bench: end -->\n<!-- soak: begin -->\nb\n<!-- soak: end -->\n';
    assert.equal(placeBlock(page, 'soak', 'c'), page.replace('\nb\n', '\nc\n'));
    assert.throws(() => placeBlock(page, 'other', 'c'));
  });

  it('has a line for each, measured against the first', () => {
    const lines = toTable(MEASURED).split('\n');
    assert.deepEqual(lines.slice(2), [
      '| first | 20,000 | 10,000 – 40,000 | 1.00 | 50 | 1.00 |',
      '| second | 5,000 | 4,000 – 8,000 | 0.25 | 200 | 0.25 |',
    ]);
    assert.throws(() => toTable([]), TypeError);
  });

  it('replaces the figures of a page and nothing else', () => {
    const page = 'before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n';
    const placed = placeFigures(page, 'TABLE', CIRCUMSTANCES);
    assert.match(placed, /^before\n<!-- bench: begin -->\nTABLE\n[^]*2026-01-01[^]*\n<!-- bench: end -->\nafter\n$/);
    assert.doesNotMatch(placed, /old/);
    assert.equal(placeFigures(placed, 'TABLE', CIRCUMSTANCES), placed);
    assert.throws(() => placeFigures('no markers', 'TABLE', CIRCUMSTANCES));
  });
});
