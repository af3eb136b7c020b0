import { type Store, STORES } from './contestant.ts';
import { findRates, type MeasuredLatency, type Run, toRatios } from './measured.ts';
import { toLatency } from './rate-tables.ts';
import { toMedian, toRow, toSpread } from './report.ts';

/** At least that many times the rate of something else. */
interface RatioTarget {
  readonly of: string;
  readonly to: string;
  readonly least: number;
}

const STORE_NAMES = Object.keys(STORES) as Store[];
/** `/authorize` and bare node:http: the embedded store needs no second process. */
const LEAST_OF_FLOOR: Readonly<Record<Store, number>> = { embedded: 0.5, redis: 0.4 };

const RATIO_TARGETS: readonly RatioTarget[] = [
  ...STORE_NAMES.flatMap((store) => [
    { of: `authorize-${store}`, to: 'node-http', least: LEAST_OF_FLOOR[store] },
    { of: `authorize-${store}`, to: 'express', least: 1.5 },
    { of: `authorize-${store}`, to: 'day-all', least: 6 },
    { of: `authorize-${store}`, to: 'day-fast-jwt', least: 3 },
    { of: `authorize-${store}`, to: 'oidc-provider', least: 5 },
  ]),
  { of: 'issuer-hs256', to: 'node-http', least: 0.6 },
  { of: 'issuer-hs256', to: 'sample', least: 3 },
  { of: 'issuer-rs256', to: 'sign', least: 0.9 },
  ...STORE_NAMES.map((store) => ({ of: `jwtgrant-nested-${store}`, to: 'sign', least: 0.8 })),
  ...STORE_NAMES.map((store) => ({ of: `introspect-${store}`, to: 'node-http', least: 0.6 })),
];

/** At half of the peak rate. */
const MOST_P99_PER_P50 = 4;
const MOST_MS = 50;

/** A target and what became of it. */
export interface Verdict {
  readonly what: string;
  readonly asked: string;
  readonly measured: string;
  readonly isMet: boolean;
}

const toTimes = (ratio: number): string => ratio.toFixed(2);

function judgeRatio({ of, to, least }: RatioTarget, run: Run): Verdict {
  const [one, base] = [findRates(run, of), findRates(run, to)];
  const ratios = toRatios(one.rates, base.rates);
  return {
    what: one.name,
    asked: `≥ ${least.toFixed(2)} × ${base.name}`,
    measured: `${toTimes(toMedian(ratios))} × (${toSpread(ratios, toTimes)})`,
    isMet: toMedian(ratios) >= least,
  };
}

function judgeLatency(one: MeasuredLatency): Verdict[] {
  const { p50Ms, p99Ms, maxMs } = toLatency(one);
  const what = `${one.name}, at half of its rate`;
  return [
    {
      what,
      asked: `p99 ≤ ${MOST_P99_PER_P50} × p50`,
      measured: `${(p99Ms / p50Ms).toFixed(2)} ×`,
      isMet: p99Ms <= MOST_P99_PER_P50 * p50Ms,
    },
    { what, asked: `none above ${MOST_MS} ms`, measured: `${maxMs.toFixed(1)} ms`, isMet: maxMs <= MOST_MS },
  ];
}

/** Every target against what was measured; a ratio is the median of the ratios of each round. @throws TypeError where a contestant is missing */
export function judge(run: Run): Verdict[] {
  return [...RATIO_TARGETS.map((target) => judgeRatio(target, run)), ...run.latencies.flatMap(judgeLatency)];
}

/** The targets as Markdown. */
export function toTargetTable(verdicts: readonly Verdict[]): string {
  const metCount = verdicts.filter(({ isMet }) => isMet).length;
  return [
    toRow([`${metCount} of ${verdicts.length} targets are met`, 'asked', 'measured', '']),
    '|---|---|--:|---|',
    ...verdicts.map(({ what, asked, measured, isMet }) => toRow([what, asked, measured, isMet ? 'met' : '**missed**'])),
  ].join('\n');
}
