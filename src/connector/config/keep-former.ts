import { readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { toIsoDate } from '../../core/clock.ts';

/** Former contents of one configuration file that are kept beside it, at most; the oldest go first. */
export const MAX_FORMER_FILES = 20;
/** Changes within one millisecond, at most. */
const MAX_ATTEMPTS = 50;

const STAMP = /^\.\d{4}-\d{2}-\d{2}T\d{6}\.\d{3}Z\.bak$/;

/**
 * Writes what a configuration file held beside it, as `<file>.2026-11-20T220000.000Z.bak`, with its permissions.
 * @returns the path of the copy
 * @throws what the file system throws, and then leaves no copy
 */
export function keepFormer(path: string, content: Buffer, mode: number, atSeconds: number): string {
  for (let attempt = 0; ; attempt++) {
    const kept = `${path}.${toIsoDate(atSeconds + attempt / 1000).replaceAll(':', '')}.bak`;
    try {
      writeFileSync(kept, content, { flag: 'wx', mode });
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EEXIST';
      if (isTaken && attempt < MAX_ATTEMPTS) continue;
      if (!isTaken) removeIfThere(kept);
      throw error;
    }
    // The newest may bear an early time: clocks are set back.
    const others = listFormer(path).filter((one) => one !== kept);
    for (const old of others.slice(0, 1 - MAX_FORMER_FILES)) removeIfThere(old);
    return kept;
  }
}

/** The copies of a file, the oldest first. */
export function listFormer(path: string): string[] {
  const [folder, name] = [dirname(path), basename(path)];
  return readdirSync(folder)
    .filter((entry) => entry.startsWith(name) && STAMP.test(entry.slice(name.length)))
    .sort()
    .map((entry) => join(folder, entry));
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // What cannot be removed is tried again with the next change.
  }
}
