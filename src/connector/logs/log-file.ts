import { type FileHandle, open, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import { type LogName, compareNames, toDay, toFileName, type ZoneOffset } from './log-day.ts';
import { createLogFolder, listLogFiles, type LogEntry, removeOldFiles, type Retention } from './log-folder.ts';

/** How often the open file is compared with the one of its name, which somebody may have moved, in seconds. */
export const LOG_FILE_CHECK_SECONDS = 1;

export interface LogFileOptions extends Retention {
  readonly folder: string;
  readonly prefix: string;
  /** Of files that are made here. */
  readonly mode: number;
  /** Told of files that were removed because of their age or of the size of all. */
  readonly onRemoved?: (files: readonly LogEntry[]) => void;
}

export interface LogFileDeps {
  readonly clock: Clock;
  readonly zone: ZoneOffset;
}

/** One log as files by day and size. One process writes it, one append after the other. */
export interface LogFile {
  /**
   * Appends whole lines to the file of today.
   * @throws what the disk says; whatever of the text was written is taken back then, or before the next append
   */
  append(text: string): Promise<void>;
  /** Hands what was appended to the disk itself. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly name: LogName;
  readonly path: string;
  readonly inode: number;
}

export function createLogFile(options: LogFileOptions, { clock, zone }: LogFileDeps): LogFile {
  const { folder, prefix, mode, maxFileBytes } = options;
  let current: OpenFile | undefined;
  /** What the open file holds of whole lines, in bytes. */
  let bytes = 0;
  /** A file that may hold a part of a text: to be cut before anything else is written. */
  let torn: { readonly path: string; readonly bytes: number } | undefined;
  let checkedAt = 0;

  const close = async (): Promise<void> => {
    const closing = current;
    current = undefined;
    await closing?.handle.close();
  };

  /** Where the next line goes: never before a file that is there, even if the clock was set back. */
  const findName = async (today: string): Promise<LogName> => {
    const newest = current?.name ?? (await listLogFiles(folder, prefix)).at(-1);
    if (newest === undefined || newest.day < today) return { day: today, number: 0 };
    return newest;
  };

  const openFile = async (name: LogName): Promise<OpenFile> => {
    await createLogFolder(folder);
    for (let next = name; ; next = { day: next.day, number: next.number + 1 }) {
      const path = join(folder, toFileName(prefix, next));
      const handle = await open(path, 'a', mode);
      try {
        const { size, ino } = await handle.stat();
        if (size < maxFileBytes) {
          current = { handle, name: next, path, inode: ino };
          bytes = size;
          return current;
        }
      } catch (error) {
        await handle.close();
        throw error;
      }
      await handle.close();
    }
  };

  const isMoved = async ({ path, inode }: OpenFile): Promise<boolean> => {
    const now = clock.nowSeconds();
    if (Math.abs(now - checkedAt) < LOG_FILE_CHECK_SECONDS) return false;
    checkedAt = now;
    return (await stat(path).catch(() => undefined))?.ino !== inode;
  };

  const cutTorn = async (): Promise<void> => {
    if (torn === undefined) return;
    await truncate(torn.path, torn.bytes).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    torn = undefined;
  };

  const prepare = async (): Promise<OpenFile> => {
    await cutTorn();
    const today = toDay(clock.nowSeconds(), zone);
    if (current && bytes < maxFileBytes && current.name.day >= today && !(await isMoved(current))) return current;
    const name = await findName(today);
    const isNext = current === undefined || compareNames(current.name, name) !== 0 || bytes >= maxFileBytes;
    await close();
    const opened = await openFile(name);
    if (isNext) {
      const removed = await removeOldFiles(folder, prefix, toFileName(prefix, opened.name), today, options);
      if (removed.length > 0) options.onRemoved?.(removed);
    }
    return opened;
  };

  return {
    append: async (text) => {
      const { handle, path } = await prepare();
      const data = Buffer.from(text);
      try {
        for (let written = 0; written < data.length;) {
          written += (await handle.write(data, written)).bytesWritten;
        }
        bytes += data.length;
      } catch (error) {
        torn = { path, bytes };
        // Where it cannot be cut now, it is tried again before the next line.
        await cutTorn().catch(() => undefined);
        await close().catch(() => undefined);
        throw error;
      }
    },
    sync: async () => {
      await current?.handle.datasync();
    },
    close,
  };
}
