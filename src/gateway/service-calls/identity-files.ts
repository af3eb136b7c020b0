import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { IdentityFault } from './identity.ts';

/** One file of an identity, in bytes. */
export const MAX_IDENTITY_FILE_BYTES = 262_144;
/** Identities of one gateway. */
export const MAX_IDENTITIES = 100;

/** What the folder of an identity may hold; other files in it are not looked at. */
export const IDENTITY_FILES = ['key.pem', 'cert.pem', 'chain.pem', 'ca.pem', 'identity.p12', 'passphrase'] as const;
export type IdentityFile = (typeof IDENTITY_FILES)[number];

/** The contents of an identity's folder. SECURITY: they hold private keys; nothing of them is for a log or an error. */
export type IdentityContents = Readonly<Partial<Record<IdentityFile, Buffer>>>;

/** How a folder stands: what changes whenever one of its files does. */
export type Stamp = string;

const NAME = /^[a-z\d][\w.-]{0,63}$/i;

/**
 * The names of the identities: of every folder whose name does not begin with a dot.
 * @throws IdentityFault where the folder cannot be read, or holds too many
 */
export async function listIdentityNames(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder).catch((error: unknown) => {
    throw new IdentityFault(`the folder cannot be read (${toCode(error)})`);
  });
  const isFolder = await Promise.all(entries.map(async (name) => (await find(join(folder, name)))?.isDirectory()));
  const names = entries.filter((name, index) => isFolder[index] === true && NAME.test(name)).sort();
  if (names.length > MAX_IDENTITIES) throw new IdentityFault(`the folder has more than ${MAX_IDENTITIES} identities`);
  return names;
}

/** Looks at an identity's files without reading them: when each was changed, how large it is, and which file it is. */
export async function readStamp(folder: string): Promise<Stamp> {
  const found = await Promise.all(IDENTITY_FILES.map((name) => find(join(folder, name))));
  return found.map((one) => (one ? `${one.mtimeNs}/${one.size}/${one.ino}` : '-')).join(' ');
}

/** @throws IdentityFault where a file cannot be read, or is too large */
export async function readIdentityFiles(folder: string): Promise<IdentityContents> {
  const read = IDENTITY_FILES.map(async (name) => [name, await readOne(folder, name)] as const);
  return Object.fromEntries((await Promise.all(read)).filter(([, bytes]) => bytes !== undefined));
}

async function readOne(folder: string, name: IdentityFile): Promise<Buffer | undefined> {
  const path = join(folder, name);
  const found = await find(path);
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new IdentityFault(`${name} is no file`);
  if (found.size > MAX_IDENTITY_FILE_BYTES)
    throw new IdentityFault(`${name} is larger than ${MAX_IDENTITY_FILE_BYTES} bytes`);
  try {
    return await readFile(path);
  } catch (error) {
    throw new IdentityFault(`${name} cannot be read (${toCode(error)})`);
  }
}

/** @returns undefined where nothing is there, or cannot be looked at */
async function find(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch {
    return undefined;
  }
}

function toCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
