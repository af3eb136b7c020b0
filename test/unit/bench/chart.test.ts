import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { toChart } from '../../../bench/chart.ts';
import { createMeasured } from './measured-run.ts';

const MEASURED = [
  createMeasured('base', [1_000, 2_000], 'floor'),
  createMeasured('<half> & "more"', [500, 1_000], 'ours'),
  createMeasured('faster', [2_000, 4_000], 'peer'),
];

const widths = (svg: string): number[] =>
  [...svg.matchAll(/<rect class="(?:floor|day|peer|ours)"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width));

describe('the chart', () => {
  const chart = toChart(MEASURED);

  it('draws the same for the same figures', () => assert.equal(toChart(structuredClone(MEASURED)), chart));

  it('has a bar for each, as long as its share, group by group', () => {
    const [base = 0, faster, half] = widths(chart);
    assert.ok(base > 0);
    assert.deepEqual([faster, half], [base * 2, base / 2]);
  });

  it('writes the shares beside the bars', () =>
    assert.deepEqual(
      [...chart.matchAll(/>(\d\.\d\d)</g)].map(([, share]) => share),
      ['1.00', '2.00', '0.50'],
    ));

  it('stays within its picture', () => {
    const [width = 0] = (/viewBox="0 0 (\d+)/.exec(chart) ?? []).slice(1).map(Number);
    const right = [...chart.matchAll(/<rect class="\w+" x="(\d+)"[^>]* width="([\d.]+)"/g)].map(
      ([, x, length]) => Number(x) + Number(length),
    );
    assert.ok(right.length === MEASURED.length && Math.max(...right) < width);
  });

  it('escapes names', () => assert.match(chart, />the &lt;half&gt; &amp; &quot;more&quot;</));

  it('runs nothing and loads nothing', () => {
    assert.doesNotMatch(chart, /<script|<foreignObject|href|url\(|@import|\son\w+=/i);
    assert.doesNotMatch(chart.replace('http://www.w3.org/2000/svg', ''), /https?:\/\//);
  });

  it('has colours for dark pages, and a title', () => {
    assert.match(chart, /prefers-color-scheme: dark/);
    assert.match(chart, /<title id="title">[^<]+<\/title>/);
  });

  it('needs somebody', () => assert.throws(() => toChart([]), TypeError));
});
