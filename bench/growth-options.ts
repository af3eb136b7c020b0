import type { LoadGenerator } from './load.ts';

/** Cores as `taskset` takes them. */
export interface GrowthCores {
  /** Of an idproxy that is measured alone, and of the first of two workers. */
  readonly server: string;
  /** Of the second of two workers. */
  readonly second: string;
  /** Of the load and of Redis, beside one idproxy. */
  readonly load: string;
  /** Of the load and of Redis, beside two workers. */
  readonly sharedLoad: string;
}

/** How much is measured. */
export interface GrowthOptions {
  /** Live exchanges of the idproxy that grows, ascending. */
  readonly sizes: readonly number[];
  /** Live exchanges of the one that it is compared with. */
  readonly controlSize: number;
  /** Rounds of each step that are not counted, before those that are. */
  readonly warmUpCount: number;
  readonly roundCount: number;
  readonly roundSeconds: number;
  /** Real exchanges, before anything is copied. */
  readonly realCount: number;
  /** Records of one kind whose bytes are measured. */
  readonly byteRecordCount: number;
  readonly cores: GrowthCores;
  readonly generator: LoadGenerator;
  /** For homes, logs and files; Redis has folders of its own. */
  readonly folder: string;
  readonly log: (line: string) => void;
}

const LARGEST = 10_000_000;

/** Live exchanges of each step: those that are below the most that was asked for, and that itself. */
export function toSizes(most: number): number[] {
  const last = Math.min(most, LARGEST);
  return [...[10_000, 1_000_000].filter((size) => size < last), last];
}
