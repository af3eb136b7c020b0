import { type Store, STORES } from './contestant.ts';
import { RECORD_KINDS, type RecordKind } from './growth-records.ts';
import type { GrowthRound } from './growth-round.ts';
import type { GrowthRun } from './growth-run.ts';
import type { GrowthStep } from './growth-steps.ts';
import { toCount, toMedian, toRow, toSpread } from './report.ts';
import type { Verdict } from './targets.ts';

/** How much more an exchange may take than beside few live ones. */
const MOST_GROWTH = 1.15;
/** What a record may take on Redis, in bytes. */
const MOST_BYTES: Readonly<Record<RecordKind, number>> = { jti: 130, session: 500 };
/** What two workers must do at least, in times of what one does. */
const LEAST_OF_TWO = 1.8;

const GROWTH_HEAD = [
  '| | live exchanges | requests/s, control | grown | server CPU, µs/request, control | grown | Redis CPU, µs/request, control | grown |',
  '|---|--:|--:|--:|--:|--:|--:|--:|',
];

const toTimes = (ratio: number): string => ratio.toFixed(2);
const toRatioText = (ratios: readonly number[]): string =>
  `${toTimes(toMedian(ratios))} × (${toSpread(ratios, toTimes)})`;

type Side = 'control' | 'loaded';

const toValues = ({ rounds }: GrowthStep, side: Side, key: keyof GrowthRound): number[] =>
  rounds.map((round) => round[side][key]);
const toMiddle = (step: GrowthStep, side: Side, key: keyof GrowthRound): number => toMedian(toValues(step, side, key));

/** Processor time of the server for an exchange, as a multiple of what it is beside few live ones, in each round. */
export const toCpuGrowth = ({ rounds }: GrowthStep): number[] =>
  rounds.map(({ control, loaded }) => loaded.cpuMicroseconds / control.cpuMicroseconds);
/** The same of the time that passes, which is what the rate tells. */
export const toTimeGrowth = ({ rounds }: GrowthStep): number[] =>
  rounds.map(({ control, loaded }) => control.rate / loaded.rate);

const listSteps = ({ growth }: GrowthRun): GrowthStep[] => Object.values(growth).flatMap(({ steps }) => steps);

/** The sizes of both stores as Markdown: medians of the rounds. */
export function toGrowthTable(run: GrowthRun): string {
  const rows = listSteps(run).map((step) => {
    const toCells = (key: keyof GrowthRound): string[] =>
      (['control', 'loaded'] as const).map((side) => toCount(toMiddle(step, side, key)));
    const redis = step.store === 'redis' ? toCells('redisMicroseconds') : ['–', '–'];
    return toRow([
      `/authorize, HS256 with jti, ${STORES[step.store]}`,
      toCount(step.exchangeCount),
      ...toCells('rate'),
      ...toCells('cpuMicroseconds'),
      ...redis,
    ]);
  });
  return [...GROWTH_HEAD, ...rows].join('\n');
}

function judgeSteps(run: GrowthRun): Verdict[] {
  const asked = `≤ ${toTimes(MOST_GROWTH)} × the control`;
  const judge = (what: string, ratios: readonly number[]): Verdict => ({
    what,
    asked,
    measured: toRatioText(ratios),
    isMet: toMedian(ratios) <= MOST_GROWTH,
  });
  return listSteps(run).flatMap((step) => {
    const where = `${STORES[step.store]}, ${toCount(step.exchangeCount)} live exchanges`;
    return [
      judge(`server CPU of an exchange, ${where}`, toCpuGrowth(step)),
      judge(`time of an exchange, ${where}`, toTimeGrowth(step)),
    ];
  });
}

function judgeBytes({ bytes }: GrowthRun): Verdict[] {
  return (Object.keys(RECORD_KINDS) as RecordKind[]).map((kind) => ({
    what: `bytes of a ${RECORD_KINDS[kind]}, ${STORES.redis}`,
    asked: `≤ ${MOST_BYTES[kind]}`,
    measured: toCount(bytes.redis[kind]),
    isMet: bytes.redis[kind] <= MOST_BYTES[kind],
  }));
}

/** How much more two workers would do than one if each had all of its core: twice, unless a request costs more beside another worker. */
export const toWorkerGain = ({ workers }: Pick<GrowthRun, 'workers'>): number[] =>
  workers.map(({ one, two }) => (2 * one.cpuMicroseconds) / two.cpuMicroseconds);

function judgeWorkers(run: GrowthRun): Verdict {
  const gains = toWorkerGain(run);
  return {
    what: 'two workers on one Redis: 2 × requests per CPU-second',
    asked: `≥ ${toTimes(LEAST_OF_TWO)} × one worker`,
    measured: toRatioText(gains),
    isMet: toMedian(gains) >= LEAST_OF_TWO,
  };
}

/** Every target of the growth against what was measured. */
export function judgeGrowth(run: GrowthRun): Verdict[] {
  return [...judgeSteps(run), ...judgeBytes(run), judgeWorkers(run)];
}

/** The figures that nobody set a target for, as a Markdown table. */
export function toOtherTable({ bytes, wire, workers }: GrowthRun): string {
  const toText = (which: 'one' | 'two', key: keyof GrowthRound): string =>
    toCount(toMedian(workers.map((round) => round[which][key])));
  const toPerCpuSecond = (which: 'one' | 'two'): string =>
    toCount(toMedian(workers.map((round) => 1e6 / round[which].cpuMicroseconds)));
  const toRecords = (store: Store): string[][] =>
    (Object.keys(RECORD_KINDS) as RecordKind[]).map((kind) => [
      `bytes of a ${RECORD_KINDS[kind]}, ${STORES[store]}`,
      toCount(bytes[store][kind]),
    ]);
  const rows = [
    ...toRecords('redis'),
    ...toRecords('embedded'),
    ['bytes that an exchange sends over HTTP, both ways', toCount(wire.http)],
    ['bytes that an exchange sends to Redis and back', toCount(wire.redis)],
    ['one worker, requests/s', toText('one', 'rate')],
    ['two workers, requests/s', toText('two', 'rate')],
    ['one worker, requests per CPU-second of the worker', toPerCpuSecond('one')],
    ['two workers, requests per CPU-second of both', toPerCpuSecond('two')],
    ['Redis CPU beside one worker, µs/exchange', toText('one', 'redisMicroseconds')],
    ['Redis CPU beside two workers, µs/exchange', toText('two', 'redisMicroseconds')],
  ];
  return [toRow(['', 'measured']), '|---|--:|', ...rows.map(toRow)].join('\n');
}
