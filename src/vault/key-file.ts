import { chmod, chown, link, mkdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createToken } from '../core/ids.ts';

/** A file's mode: its owner reads and writes it, nobody else does. */
export const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
/** Whatever others than the owner and the group may do is taken away. */
const OWNER_AND_GROUP = 0o770;

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

/**
 * Writes a file that only its owner can read, whole or not at all. One that is there keeps its owner and group and what they
 * may do: a command that root runs must not take it from the user that the servers run as.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${createToken(6)}`;
  try {
    await writeFile(draft, text, { mode: OWNER_ONLY_FILE, flag: 'wx', flush: true });
    await keepAccess(path, draft);
    await rename(draft, path);
  } catch (error) {
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

/** Gives a draft the owner, the group and their permissions of the file that it replaces, where there is one. */
async function keepAccess(path: string, draft: string): Promise<void> {
  const former = await stat(path).catch(() => undefined);
  if (former === undefined) return;
  const { uid, gid } = await stat(draft);
  if (uid !== former.uid || gid !== former.gid) await chown(draft, former.uid, former.gid);
  await chmod(draft, former.mode & OWNER_AND_GROUP);
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
