import type { Measured, MeasuredCeiling, MeasuredLatency } from './measured.ts';
import { toRates, toRatio } from './measured.ts';
import { toCount, toMedian, toRow, toSpread } from './report.ts';

const toMs = (value: number): string => value.toFixed(2);

const RATE_HEAD = [
  '| | requests/s, median | slowest – fastest round | ratio to node:http | server CPU, µs/request | its ratio |',
  '|---|--:|--:|--:|--:|--:|',
];
const CEILING_HEAD = ['| `openssl speed` | operations/s, median | slowest – fastest round |', '|---|--:|--:|'];
const LATENCY_HEAD = ['| | requests/s | p50, ms | p99, ms | p99 / p50 | longest, ms |', '|---|--:|--:|--:|--:|--:|'];

const toCpus = ({ rounds }: Measured): number[] => rounds.map(({ cpuMicroseconds }) => cpuMicroseconds);

/** The contestants as Markdown: medians, what lay between the slowest and the fastest round, and ratios to the first line. */
export function toRateTable(measured: readonly Measured[]): string {
  const [base] = measured;
  if (base === undefined) throw new TypeError('nothing was measured');
  const rows = measured.map((one) => {
    const rates = toRates(one);
    return toRow([
      one.name,
      toCount(toMedian(rates)),
      toSpread(rates, toCount),
      toRatio(rates, toRates(base)).toFixed(2),
      toCount(toMedian(toCpus(one))),
      toRatio(toCpus(base), toCpus(one)).toFixed(2),
    ]);
  });
  return [...RATE_HEAD, ...rows].join('\n');
}

/** The primitives as Markdown. */
export function toCeilingTable(ceilings: readonly MeasuredCeiling[]): string {
  const rows = ceilings.map(({ name, rates }) => toRow([name, toCount(toMedian(rates)), toSpread(rates, toCount)]));
  return [...CEILING_HEAD, ...rows].join('\n');
}

/** The middle quantiles of all rounds, and the longest that any request took. In milliseconds. */
export function toLatency({ rounds }: MeasuredLatency): { p50Ms: number; p99Ms: number; maxMs: number } {
  return {
    p50Ms: toMedian(rounds.map(({ p50Ms }) => p50Ms)),
    p99Ms: toMedian(rounds.map(({ p99Ms }) => p99Ms)),
    maxMs: Math.max(...rounds.map(({ maxMs }) => maxMs)),
  };
}

/** The latencies as Markdown. */
export function toLatencyTable(latencies: readonly MeasuredLatency[]): string {
  const rows = latencies.map((one) => {
    const { p50Ms, p99Ms, maxMs } = toLatency(one);
    return toRow([one.name, toCount(one.rate), toMs(p50Ms), toMs(p99Ms), (p99Ms / p50Ms).toFixed(1), toMs(maxMs)]);
  });
  return [...LATENCY_HEAD, ...rows].join('\n');
}
