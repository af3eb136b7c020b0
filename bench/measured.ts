import type { Entry } from './contestant.ts';
import { toMedian } from './report.ts';

/** One round of one contestant. */
export interface Figures {
  /** Requests a second. */
  readonly rate: number;
  /** Processor time of the server for one request. */
  readonly cpuMicroseconds: number;
}

/** What was measured of one contestant, round by round. */
export interface Measured extends Entry {
  readonly rounds: readonly Figures[];
}

/** What was measured of one primitive, round by round, in operations a second. */
export interface MeasuredCeiling {
  readonly id: string;
  readonly name: string;
  readonly rates: readonly number[];
}

/** The open loop at a fixed rate: latencies counted from the moment at which a request was due. */
export interface LatencyFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What was measured of the latency of one contestant, round by round. */
export interface MeasuredLatency {
  readonly id: string;
  readonly name: string;
  /** Requests a second that were due. */
  readonly rate: number;
  readonly rounds: readonly LatencyFigures[];
}

/** All that one run measured. */
export interface Run {
  /** The first is what the others are measured against. */
  readonly contestants: readonly Measured[];
  readonly ceilings: readonly MeasuredCeiling[];
  readonly latencies: readonly MeasuredLatency[];
}

export const toRates = ({ rounds }: Measured): number[] => rounds.map(({ rate }) => rate);

/** Something as a share of something else, in each round: rounds are measured in turn, so a slow moment meets both. */
export const toRatios = (values: readonly number[], bases: readonly number[]): number[] =>
  values.map((value, round) => value / (bases[round] ?? NaN));

/** The middle one of the shares of all rounds. */
export const toRatio = (values: readonly number[], bases: readonly number[]): number =>
  toMedian(toRatios(values, bases));

/**
 * The rates of a contestant or a primitive, round by round.
 * @throws TypeError for one that did not take part
 */
export function findRates(
  { contestants, ceilings }: Run,
  id: string,
): { readonly name: string; readonly rates: readonly number[] } {
  const contestant = contestants.find((one) => one.id === id);
  const found = contestant
    ? { name: contestant.name, rates: toRates(contestant) }
    : ceilings.find((one) => one.id === id);
  if (found === undefined) throw new TypeError(`nothing was measured of ${id}`);
  return found;
}
