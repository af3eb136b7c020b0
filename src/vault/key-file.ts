import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createToken } from '../core/ids.ts';

/** A file's mode: its owner reads and writes it, nobody else does. */
export const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/**
 * The text of a file that is made once: reads `path`, or writes what `make` returns when there is none. Of several
 * processes that start together one wins and all read the winner's text. The file is readable by its owner alone.
 * @returns the text, and whether this call made it
 */
export async function loadOrCreateFile(path: string, make: () => string): Promise<{ text: string; isNew: boolean }> {
  const present = await readIfPresent(path);
  if (present !== undefined) return { text: present, isNew: false };
  await mkdir(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER });
  const draft = `${path}.${createToken(6)}`;
  await writeFile(draft, make(), { mode: OWNER_ONLY_FILE, flag: 'wx', flush: true });
  try {
    // A link, unlike a rename, fails where another process was first, and never shows half a file.
    await link(draft, path);
    return { text: await readFile(path, 'utf8'), isNew: true };
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    return { text: await readFile(path, 'utf8'), isNew: false };
  } finally {
    await unlink(draft);
  }
}

/** Writes a file that only its owner can read, whole or not at all. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${createToken(6)}`;
  await writeFile(draft, text, { mode: OWNER_ONLY_FILE, flag: 'wx', flush: true });
  await rename(draft, path);
}

/** The text of a file. @returns undefined where there is none */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Whether a call of the system failed for this reason. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
