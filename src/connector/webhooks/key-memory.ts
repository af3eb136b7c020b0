import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import { sha256Hex } from '../../core/secret.ts';

/** How long the key of a delivered message is remembered, in seconds. */
export const KEY_LIFETIME_SECONDS = 86_400;
/** Keys of delivered messages that are remembered, at most; the oldest go first. */
export const MAX_REMEMBERED_KEYS = 10_000;

/** Which message a key stands for. */
export interface KeptKey {
  readonly id: string;
  /** SHA-256 of the body, hexadecimal, or its beginning. */
  readonly digest: string;
}

/** A digest in a file name, in characters: 128 bits. */
const SHORT = 32;
const MARKER = /^([\da-f]{32})\.([\da-f]{32})\.([\w-]{1,128})$/;

/** What stands for a key. SECURITY: keys may be made of what nobody else should read, such as account numbers. */
export const toKeyHash = (path: string, key: string): string =>
  sha256Hex(`${path.length}:${path}${key}`).slice(0, SHORT);

/** Whether a kept key was given with this body. */
export const isSameBody = (kept: KeptKey, digest: string): boolean =>
  kept.digest.slice(0, SHORT) === digest.slice(0, SHORT);

/** Keys of messages that were delivered, as empty files whose names say everything and whose time is the delivery. */
export interface KeyMemory {
  find(key: string): KeptKey | undefined;
  /** Makes the marker of a delivered message's own file, which is gone by that. */
  keep(key: string, kept: KeptKey, path: string): Promise<void>;
  forgetOld(): Promise<void>;
}

/** @throws what the file system throws */
export async function openKeyMemory(folder: string, clock: Clock): Promise<KeyMemory> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  /** Oldest first. */
  const keys = new Map<string, KeptKey & { readonly at: number; readonly path: string }>();

  const found = (await readdir(folder)).map((name) => ({ name, parts: MARKER.exec(name) }));
  const markers = await Promise.all(
    found.flatMap(({ name, parts }) => {
      const [, key = '', digest = '', id = ''] = parts ?? [];
      return parts === null ? [] : [loadMarker(join(folder, name), key, { id, digest })];
    }),
  );
  for (const { key, ...marker } of markers.sort((a, b) => a.at - b.at)) keys.set(key, marker);

  const forget = async (key: string, path: string): Promise<void> => {
    keys.delete(key);
    await unlink(path).catch(() => undefined);
  };
  const forgetOld = async (): Promise<void> => {
    const oldest = clock.nowSeconds() - KEY_LIFETIME_SECONDS;
    for (const [key, { at, path }] of keys) {
      if (at > oldest && keys.size <= MAX_REMEMBERED_KEYS) return;
      await forget(key, path);
    }
  };
  return {
    find: (key) => {
      const kept = keys.get(key);
      return kept !== undefined && kept.at > clock.nowSeconds() - KEY_LIFETIME_SECONDS ? kept : undefined;
    },
    keep: async (key, { id, digest }, path) => {
      const former = keys.get(key);
      if (former !== undefined) await forget(key, former.path);
      const marker = join(folder, `${key}.${digest.slice(0, SHORT)}.${id}`);
      await rename(path, marker);
      keys.set(key, { id, digest, at: clock.nowSeconds(), path: marker });
      await empty(marker);
      await forgetOld();
    },
    forgetOld,
  };
}

async function loadMarker(path: string, key: string, kept: KeptKey) {
  const { mtimeMs, size } = await stat(path);
  // The agent ended between two steps.
  if (size > 0) await empty(path);
  return { ...kept, key, path, at: mtimeMs / 1000 };
}

/** Emptied by a write, its time is now. */
async function empty(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(0);
  } finally {
    await file.close();
  }
}
