import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

import { NEXT } from '../config/named-files.ts';
import { syncFolder, writeDurably } from '../durable-file.ts';

/** Where the credentials of an agent lie. */
export interface CredentialPaths {
  readonly key: string;
  readonly cert: string;
}

const KEY_MODE = 0o600;

/** The files themselves, where links lead to them. */
async function toFiles({ key, cert }: CredentialPaths): Promise<CredentialPaths> {
  return { key: await realpath(key), cert: await realpath(cert) };
}

/** Puts a new key beside the one in use. @throws what the file system says, where it may not be written there */
export async function writeNextKey(paths: CredentialPaths, key: string): Promise<void> {
  const files = await toFiles(paths);
  await writeDurably(`${files.key}${NEXT}`, [Buffer.from(key)], KEY_MODE);
}

/**
 * Has the new key and its certificate take the places of those in use. Two files cannot be replaced at one moment: the
 * certificate lies beside the old one before the key is replaced, and whoever reads a key that does not fit the
 * certificate finds the one that does.
 */
export async function replaceCredentials(paths: CredentialPaths, cert: string): Promise<void> {
  const files = await toFiles(paths);
  const { mode } = await stat(files.cert);
  await writeDurably(`${files.cert}${NEXT}`, [Buffer.from(cert)], mode & 0o777);
  await rename(`${files.key}${NEXT}`, files.key);
  await syncFolder(dirname(files.key));
  await rename(`${files.cert}${NEXT}`, files.cert);
  await syncFolder(dirname(files.cert));
}

/** Finishes a replacement that was cut off, or forgets one that had not begun. @returns whether it was finished */
export async function finishReplacement(paths: CredentialPaths): Promise<boolean> {
  const files = await toFiles(paths);
  const next = await readFile(`${files.cert}${NEXT}`, 'utf8').catch(() => undefined);
  const [key, cert] = await Promise.all([readFile(files.key, 'utf8'), readFile(files.cert, 'utf8')]);
  if (next !== undefined && isPair(key, next) && !isPair(key, cert)) {
    await rename(`${files.cert}${NEXT}`, files.cert);
    await syncFolder(dirname(files.cert));
    return true;
  }
  await forgetNext(paths);
  return false;
}

/** Removes what a replacement that came to nothing has left. */
export async function forgetNext(paths: CredentialPaths): Promise<void> {
  const files = await toFiles(paths);
  for (const file of [files.key, files.cert]) {
    await unlink(`${file}${NEXT}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

function isPair(key: string, cert: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
