import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';

/** The largest configuration file, in bytes. */
export const MAX_CONFIG_BYTES = 1_048_576;
/** The largest file of keys, certificates or a password, in bytes: bundles of authorities have some 250 000. */
export const MAX_PEM_BYTES = 2_097_152;

/** What a file was when it was read. */
export interface FileSnapshot {
  /** Absent where it could not be read. */
  readonly content?: Buffer;
  /** Permission bits. */
  readonly mode: number;
  /** Of a file that could not be read: the rest of a sentence about it. */
  readonly fault?: string;
  readonly isMissing: boolean;
  /** What it was read with. */
  readonly maxBytes: number;
}

/** Files below an installation folder, each read at most once, so that everything is decided on one content. */
export interface ConfigFiles {
  /** The absolute path of what a configuration names; a backslash separates folders too. */
  toPath(name: string): string;
  /** The path as people know it: from the installation folder where it is below it. */
  toName(path: string): string;
  read(path: string, maxBytes: number): FileSnapshot;
  /** What stands in the way of a folder of that path: it, or what it would lie in, is something else. */
  findNoFolder(path: string): string | undefined;
  /** All that were asked for, by absolute path, the missing ones too. */
  readonly snapshots: ReadonlyMap<string, FileSnapshot>;
}

export function createConfigFiles(folder: string): ConfigFiles {
  const root = resolve(folder);
  const snapshots = new Map<string, FileSnapshot>();
  return {
    toPath: (name) => resolve(root, name.replaceAll('\\', '/')),
    toName: (path) => {
      const name = relative(root, path).replaceAll('\\', '/');
      return name.startsWith('../') || name === '' ? path : name;
    },
    read: (path, maxBytes) => {
      const snapshot = snapshots.get(path) ?? takeSnapshot(path, maxBytes);
      snapshots.set(path, snapshot);
      return snapshot;
    },
    findNoFolder,
    snapshots,
  };
}

function findNoFolder(path: string): string | undefined {
  for (let at = path; ; at = dirname(at)) {
    const isFolder = isFolderAt(at);
    if (isFolder === false) return at;
    if (isFolder === true || at === dirname(at)) return undefined;
  }
}

/** @returns undefined where nothing is there, or nobody can say */
function isFolderAt(path: string): boolean | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory();
  } catch {
    return undefined;
  }
}

const FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
};

/** A file as it is now. Never waits for a pipe or a device, never throws. */
export function takeSnapshot(path: string, maxBytes: number): FileSnapshot {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = fstatSync(descriptor);
    const mode = stats.mode & 0o777;
    if (!stats.isFile()) return { mode, isMissing: false, maxBytes, fault: 'is not a file' };
    const content = readUpTo(descriptor, maxBytes + 1);
    if (content.length > maxBytes)
      return { mode, isMissing: false, maxBytes, fault: `is larger than ${maxBytes} bytes` };
    return { content, mode, isMissing: false, maxBytes };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
    return { mode: 0, isMissing, maxBytes, fault: FAULTS[code] ?? `cannot be read (${code})` };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function readUpTo(descriptor: number, maxBytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let left = maxBytes; left > 0;) {
    const part = Buffer.allocUnsafe(Math.min(left, 65_536));
    const length = readSync(descriptor, part);
    if (length === 0) break;
    parts.push(part.subarray(0, length));
    left -= length;
  }
  return Buffer.concat(parts);
}

/** One text for what all these files say: it differs where any of them does. */
export function toDigest(snapshots: ReadonlyMap<string, FileSnapshot>): string {
  const hash = createHash('sha256');
  for (const [path, { content, fault = '' }] of snapshots) {
    hash.update(`${path}\0${fault}\0${content?.length ?? -1}\0`).update(content ?? '');
  }
  return hash.digest('hex');
}
