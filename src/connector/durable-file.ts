import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a file is called until it is whole. */
export const UNFINISHED = '.tmp';

/**
 * Writes a file that is there as a whole or not at all, and is still there after a power cut.
 * @throws what the file system throws, and then leaves nothing new under either name
 */
export async function writeDurably(path: string, parts: readonly Uint8Array[], mode: number): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`;
  // SECURITY: one that lies there has the permissions of whoever made it.
  await unlink(unfinished).catch(() => undefined);
  try {
    const file = await open(unfinished, 'wx', mode);
    try {
      await file.writeFile(parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await unlink(unfinished).catch(() => undefined);
    throw error;
  }
}

/** Has the names in a folder outlast a power cut, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
