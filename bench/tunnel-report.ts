import { toMedian } from './report.ts';
import { IDLE_AGENT_COUNT, type IdleMemory } from './tunnel-idle.ts';
import type { TunnelFigures } from './tunnel-load.ts';

/** What was measured of one way. */
export interface MeasuredWay {
  readonly name: string;
  readonly rounds: readonly TunnelFigures[];
}

/** The ways that targets speak of. */
export interface MeasuredTargets {
  readonly ours: MeasuredWay;
  readonly peer: MeasuredWay;
  readonly idle: IdleMemory;
}

type Key = keyof TunnelFigures;

const COLUMNS: readonly (readonly [Key, string])[] = [
  ['p50', 'c=1 p50, µs'],
  ['small', 'c=32, requests/s'],
  ['medium', '10 KB, c=32, requests/s'],
  ['downRate', '100 MiB down, MB/s'],
  ['upRate', '100 MiB up, MB/s'],
  ['cloudCpu', 'CPU of the cloud end, µs/request'],
  ['insideCpu', 'CPU of the inner end, µs/request'],
];

const MIB = 2 ** 20;
/** By how much each of our figures may stay behind the peer's, or must exceed it. */
const RATIOS: readonly (readonly [Key, 'least' | 'most', number])[] = [
  ['small', 'least', 0.6],
  ['p50', 'most', 2],
  ['medium', 'least', 5],
  ['downRate', 'least', 0.6],
  ['upRate', 'least', 0.6],
];
const MOST_CPU: readonly (readonly [Key, number])[] = [
  ['cloudCpu', 60],
  ['insideCpu', 80],
];
/** The most that a gateway with {@link IDLE_AGENT_COUNT} idle agents may take, in bytes. */
const MOST_IDLE_BYTES = 300 * MIB;

const toText = (value: number): string => Math.round(value).toLocaleString('en-US');
const toValues = ({ rounds }: MeasuredWay, key: Key): number[] => rounds.map((round) => round[key]);
const toMiddle = (way: MeasuredWay, key: Key): number => toMedian(toValues(way, key));
const toTitle = (key: Key): string => COLUMNS.find(([name]) => name === key)?.[1] ?? key;
const toRow = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function toCell(way: MeasuredWay, key: Key): string {
  const values = toValues(way, key);
  const middle = toMedian(values);
  if (middle === 0) return '–';
  return `${toText(middle)} (${toText(Math.min(...values))} – ${toText(Math.max(...values))})`;
}

/** The table of all ways as Markdown: medians, and in brackets what lay between the lowest and the highest round. */
export function toTunnelTable(measured: readonly MeasuredWay[]): string {
  return [
    toRow(['', ...COLUMNS.map(([, title]) => title)]),
    `|---|${COLUMNS.map(() => '--:|').join('')}`,
    ...measured.map((way) => toRow([way.name, ...COLUMNS.map(([key]) => toCell(way, key))])),
  ].join('\n');
}

/** The targets as Markdown, each of them met or missed. A ratio is the median of the ratios of each round. */
export function toTargetTable({ ours, peer, idle }: MeasuredTargets): string {
  const toVerdict = (isMet: boolean): string => (isMet ? 'met' : '**missed**');
  const ratios = RATIOS.map(([key, bound, limit]) => {
    const value = toMedian(ours.rounds.map((round, at) => round[key] / (peer.rounds[at]?.[key] ?? NaN)));
    const isMet = bound === 'least' ? value >= limit : value <= limit;
    const target = `${bound === 'least' ? '≥' : '≤'} ${limit} × ${peer.name}`;
    return toRow([toTitle(key), target, `${value.toFixed(2)} ×`, toVerdict(isMet)]);
  });
  const cpu = MOST_CPU.map(([key, limit]) => {
    const value = toMiddle(ours, key);
    return toRow([toTitle(key), `≤ ${limit}`, toText(value), toVerdict(value <= limit)]);
  });
  const { heldBytes, emptyBytes, connectSeconds } = idle;
  const memory = `${toText(heldBytes / MIB)} (${toText(emptyBytes / MIB)} before; all connected in ${connectSeconds.toFixed(1)} s)`;
  return [
    toRow([ours.name, 'target', 'measured', '']),
    '|---|--:|--:|---|',
    ...ratios,
    ...cpu,
    toRow([
      `gateway's memory with ${toText(IDLE_AGENT_COUNT)} idle agents, MiB`,
      `≤ ${toText(MOST_IDLE_BYTES / MIB)}`,
      memory,
      toVerdict(heldBytes <= MOST_IDLE_BYTES),
    ]),
  ].join('\n');
}
