import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { compareNames, type LogName, parseFileName } from './log-day.ts';

/** The mode of a folder of logs that is made here. */
export const LOG_FOLDER_MODE = 0o750;

/** A file of a log as it lies on the disk. */
export interface LogEntry extends LogName {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** What the files of one log may come to. */
export interface Retention {
  /** All files together, in bytes, the one that is being written at its full size included. */
  readonly maxTotalBytes: number;
  /** One file, in bytes. */
  readonly maxFileBytes: number;
  /** Since the day of a file, in days. */
  readonly maxAgeDays: number;
}

/** Makes the folder where it is missing. */
export async function createLogFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: LOG_FOLDER_MODE });
}

/** The files of a log, the oldest first; none where there is no folder. */
export async function listLogFiles(folder: string, prefix: string): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (const name of await readNames(folder)) {
    const parsed = parseFileName(prefix, name);
    if (parsed === undefined) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) entries.push({ ...parsed, name, path, bytes: found.size });
  }
  return entries.toSorted(compareNames);
}

/**
 * Removes the oldest files until the rest keeps to `retention`, never the one named `current`.
 * @returns what was removed; a file that cannot be removed stays for the next time
 */
export async function removeOldFiles(
  folder: string,
  prefix: string,
  current: string,
  today: string,
  retention: Retention,
): Promise<readonly LogEntry[]> {
  const old = (await listLogFiles(folder, prefix)).filter(({ name }) => name !== current);
  const oldestDay = new Date(Date.parse(today) - retention.maxAgeDays * 86_400_000).toISOString().slice(0, 10);
  let total = old.reduce((sum, { bytes }) => sum + bytes, 0) + retention.maxFileBytes;
  const removed: LogEntry[] = [];
  for (const entry of old) {
    if (total <= retention.maxTotalBytes && entry.day >= oldestDay) break;
    const isGone = await unlink(entry.path).then(() => true, () => false); // prettier-ignore
    if (!isGone) continue;
    total -= entry.bytes;
    removed.push(entry);
  }
  return removed;
}

async function readNames(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
