import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import type { Fields } from '../../tunnel/messages.ts';
import { UNFINISHED, writeDurably } from '../durable-file.ts';
import type { AppLog } from '../logs/app-log.ts';
import { isSameBody, type KeptKey, openKeyMemory } from './key-memory.ts';
import { type MessageHeader, readHeader, readMessage, SpoolFileError, toDigest, toSpoolFile } from './spool-file.ts';

/** Messages that wait for their delivery, at most. */
export const MAX_SPOOL_MESSAGES = 10_000;
/** The same in bytes of their bodies. */
export const MAX_SPOOL_BYTES = 268_435_456;
/** Messages that could not be delivered and are kept for people, at most; the oldest go first. */
export const MAX_FAILED_MESSAGES = 1_000;

/** A message that waits. */
export interface Entry extends MessageHeader {
  readonly path: string;
  /** Its place in the order. */
  readonly number: number;
  /** Seconds since the epoch. */
  readonly acceptedAt: number;
}

/** A message as it was pushed. */
export interface Pushed {
  readonly target: string;
  readonly fields: Fields;
  readonly body: Uint8Array;
  /** As `toKeyHash` makes it. */
  readonly key?: string;
}

/** No place is left; what the disk says is told by its own error. */
export class SpoolFullError extends Error {
  override readonly name = 'SpoolFullError';
}

/** A key that stands for another message. */
export class KeyReusedError extends Error {
  override readonly name = 'KeyReusedError';
}

export interface Spool {
  readonly count: number;
  readonly bytes: number;
  /** Those that wait, the oldest first. */
  entries(): readonly Entry[];
  /**
   * Keeps a message: once this resolves it outlasts the end of the process and of the machine.
   * @throws SpoolFullError, KeyReusedError, or what the disk says
   */
  add(pushed: Pushed): Promise<{ readonly id: string; readonly isNew: boolean }>;
  /** @throws SpoolFileError, or what the file system throws */
  readBody(entry: Entry): Promise<Buffer>;
  /** It was delivered. */
  remove(entry: Entry): Promise<void>;
  /** It will not be delivered: people find it in `failed/`. */
  setAside(entry: Entry): Promise<void>;
  forgetOldKeys(): Promise<void>;
}

export interface SpoolDeps {
  readonly clock: Clock;
  readonly log: Pick<AppLog, 'critical' | 'error'>;
  /** A message is there that was not. */
  readonly onAdded: (entry: Entry) => void;
  readonly maxMessages?: number;
  readonly maxBytes?: number;
}

const FILE = /^(\d{16})\.msg$/;
const MODE = 0o600;
const FOLDER_MODE = 0o700;
const RANDOM_BYTES = 16;

/** Opens the spool in a folder, with what an earlier process left there. @throws what the file system throws */
export async function openSpool(folder: string, deps: SpoolDeps): Promise<Spool> {
  const { clock, log, onAdded, maxMessages = MAX_SPOOL_MESSAGES, maxBytes = MAX_SPOOL_BYTES } = deps;
  const failedFolder = join(folder, 'failed');
  await mkdir(failedFolder, { recursive: true, mode: FOLDER_MODE });
  const keys = await openKeyMemory(join(folder, 'keys'), clock);
  const entries = new Map<number, Entry>();
  /** Keys of messages that wait, and of those that are being written. */
  const open = new Map<string, KeptKey & { readonly written: Promise<unknown> }>();
  let bytes = 0;
  let reserved = { count: 0, bytes: 0 };
  let last = 0;

  const toPath = (number: number): string => join(folder, `${String(number).padStart(16, '0')}.msg`);
  const take = (entry: Entry): void => {
    entries.set(entry.number, entry);
    bytes += entry.bytes;
    if (entry.key !== undefined) open.set(entry.key, { ...entry, written: Promise.resolve() });
  };
  const drop = (entry: Entry): void => {
    if (!entries.delete(entry.number)) return;
    bytes -= entry.bytes;
    if (entry.key !== undefined) open.delete(entry.key);
  };

  const moveToFailed = async (name: string): Promise<void> => {
    await rename(join(folder, name), join(failedFolder, name));
    const failed = (await readdir(failedFolder)).filter((one) => FILE.test(one)).sort();
    for (const old of failed.slice(0, Math.max(0, failed.length - MAX_FAILED_MESSAGES))) {
      log.critical('an undelivered webhook is removed: there are too many of them', { file: `failed/${old}` });
      await unlink(join(failedFolder, old));
    }
    // A number is used once: a message that people put back keeps its place.
    last = Math.max(last, Number(FILE.exec(failed.at(-1) ?? '')?.[1] ?? 0));
  };

  const load = async (name: string, number: number): Promise<void> => {
    const path = join(folder, name);
    try {
      const header = await readHeader(path);
      // Of the file: people who put one back may give it a new time.
      take({ ...header, path, number, acceptedAt: (await stat(path)).mtimeMs / 1000 });
    } catch (error) {
      log.critical('a spooled webhook cannot be read; it is kept in failed/', { file: name, error });
      await moveToFailed(name);
    }
  };

  for (const name of (await readdir(folder)).sort()) {
    const [, digits] = FILE.exec(name) ?? [];
    if (digits !== undefined) {
      last = Math.max(last, Number(digits));
      await load(name, Number(digits));
    } else if (name.endsWith(UNFINISHED)) {
      await unlink(join(folder, name));
    }
  }
  for (const name of await readdir(failedFolder)) last = Math.max(last, Number(FILE.exec(name)?.[1] ?? 0));

  const write = async (header: MessageHeader, body: Uint8Array): Promise<void> => {
    if (entries.size + reserved.count >= maxMessages || bytes + reserved.bytes + body.length > maxBytes) {
      throw new SpoolFullError('the spool is full');
    }
    reserved = { count: reserved.count + 1, bytes: reserved.bytes + body.length };
    const number = ++last;
    const path = toPath(number);
    try {
      await writeDurably(path, toSpoolFile(header, body), MODE);
    } catch (error) {
      // Whoever pushed it is told that it was not taken.
      await unlink(path).catch(() => undefined);
      throw error;
    } finally {
      reserved = { count: reserved.count - 1, bytes: reserved.bytes - body.length };
    }
    const entry = { ...header, path, number, acceptedAt: clock.nowSeconds() };
    take(entry);
    onAdded(entry);
  };

  return {
    get count() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    entries: () => [...entries.values()],
    add: async ({ target, fields, body, key }) => {
      const digest = toDigest(body);
      const known = key === undefined ? undefined : (open.get(key) ?? keys.find(key));
      if (known !== undefined) {
        if (!isSameBody(known, digest)) throw new KeyReusedError('this key stands for another message');
        // The first one may be on its way to the disk, and fail.
        await open.get(key ?? '')?.written;
        return { id: known.id, isNew: false };
      }
      const id = `msg_${randomBytes(RANDOM_BYTES).toString('base64url')}`;
      const header = { id, target, fields, bytes: body.length, digest, ...(key !== undefined && { key }) };
      const written = write(header, body);
      if (key !== undefined) open.set(key, { id, digest, written });
      try {
        await written;
      } catch (error) {
        if (key !== undefined) open.delete(key);
        throw error;
      }
      return { id, isNew: true };
    },
    readBody: async ({ path, digest }) => {
      const { header, body } = await readMessage(path);
      if (header.digest !== digest) throw new SpoolFileError('the file is another one');
      return body;
    },
    remove: async (entry) => {
      try {
        if (entry.key === undefined) await unlink(entry.path);
        else await keys.keep(entry.key, entry, entry.path);
      } finally {
        // A file that cannot be removed is sent once more by the next process, and not by this one for ever.
        drop(entry);
      }
    },
    setAside: async (entry) => {
      drop(entry);
      await moveToFailed(`${String(entry.number).padStart(16, '0')}.msg`);
    },
    forgetOldKeys: () => keys.forgetOld(),
  };
}
