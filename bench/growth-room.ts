import { readFile, statfs } from 'node:fs/promises';

import { type Store, STORES } from './contestant.ts';
import type { RecordKind } from './growth-records.ts';
import { toCount } from './report.ts';

/** What a record of each kind takes in a store, in bytes. */
export type StoreBytes = Readonly<Record<RecordKind, number>>;

/** What is wanted beyond the records: tables that are rebuilt, the log, the page cache, everyone else. */
const HEADROOM = 1.3;
const GIB = 2 ** 30;

const toGibibytes = (bytes: number): string => (bytes / GIB).toFixed(1);

/** A sentence about what is missing for so many live exchanges. @returns undefined where there is enough */
export function describeShortage(
  store: Store,
  exchangeCount: number,
  bytes: StoreBytes,
  freeBytes: number,
): string | undefined {
  const neededBytes = exchangeCount * (bytes.jti + bytes.session) * HEADROOM;
  if (neededBytes <= freeBytes) return undefined;
  const what = store === 'redis' ? 'memory' : 'disk';
  const [needed, free] = [toGibibytes(neededBytes), toGibibytes(freeBytes)];
  return `${toCount(exchangeCount)} live exchanges on ${STORES[store]} are left out: they need ${needed} GiB of ${what}, and ${free} GiB are free.`;
}

/** What the kernel could give to programs without swapping, in bytes (proc(5), `MemAvailable`). */
async function readFreeMemoryBytes(): Promise<number> {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'latin1'))?.[1];
  if (kilobytes === undefined) throw new Error('the kernel does not say how much memory is available');
  return Number(kilobytes) * 1024;
}

async function readFreeDiskBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** The same, of what this machine has: memory for Redis, the disk of that folder for the embedded store. */
export async function findShortage(
  store: Store,
  exchangeCount: number,
  bytes: StoreBytes,
  folder: string,
): Promise<string | undefined> {
  const freeBytes = store === 'redis' ? await readFreeMemoryBytes() : await readFreeDiskBytes(folder);
  return describeShortage(store, exchangeCount, bytes, freeBytes);
}
