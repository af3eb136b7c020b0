import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { createTempFolder } from './processes.ts';

/** A wall clock of a process that a test sets while it runs; what counts elapsed time is not touched. */
export interface SteppedClock {
  /** The environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Sets the clock so far off the real time, in seconds. */
  set(offsetSeconds: number): Promise<void>;
  remove(): Promise<void>;
}

const LIBRARIES = '/usr/lib';

/** Debian's `faketime`: found by its folder, since that is named after the machine. */
async function findLibrary(): Promise<string> {
  for (const folder of await readdir(LIBRARIES)) {
    const names: string[] = await readdir(join(LIBRARIES, folder, 'faketime')).catch(() => []);
    if (names.includes('libfaketimeMT.so.1')) return join(LIBRARIES, folder, 'faketime', 'libfaketimeMT.so.1');
  }
  return assert.fail('faketime is not installed');
}

export async function createSteppedClock(): Promise<SteppedClock> {
  const folder = await createTempFolder();
  const file = join(folder, 'clock');
  const set = (seconds: number): Promise<void> => writeFile(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}`);
  await set(0);
  return {
    env: {
      LD_PRELOAD: await findLibrary(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    set,
    remove: () => rm(folder, { recursive: true }),
  };
}
