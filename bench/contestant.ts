import { fileURLToPath } from 'node:url';

import type { Bodies } from './bodies.ts';
import type { BenchServer } from './server.ts';

/** The stores, and what they are called. */
export const STORES = { embedded: 'embedded store', redis: 'Redis' } as const;

export type Store = keyof typeof STORES;

/** What the contestants are told apart by, in the order of the chart. */
export const GROUPS = {
  floor: 'the floor: a JSON body in, the same out',
  day: 'written in a day',
  peer: 'peers',
  ours: 'ours, everything on',
} as const;

export type Group = keyof typeof GROUPS;

/** Everything that has a line in the table and in the chart. */
export interface Entry {
  /** What targets name. */
  readonly id: string;
  readonly name: string;
  readonly group: Group;
}

/** A route of a running server. */
export interface Contestant extends Entry {
  readonly url: string;
  /** Fields of the header of each request. */
  readonly fields: Readonly<Record<string, string>>;
  readonly bodies: Bodies;
  readonly server: BenchServer;
}

/** What the contestants share. */
export interface Surroundings {
  /** For data, keys and logs. */
  readonly folder: string;
  readonly redisUrl: string;
}

/** The path of a compiled script of the bench. */
export const toScript = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
