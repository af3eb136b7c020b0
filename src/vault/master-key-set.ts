import { randomBytes, timingSafeEqual } from 'node:crypto';

import { z } from 'zod';

import {
  deriveStableKeys,
  MASTER_KEY_BYTES,
  STABLE_PURPOSES,
  type StableKeys,
  toKeyId,
  type VaultKeys,
} from './vault.ts';

/** 32 random bytes hold fewer distinct ones than this less than once in 10^20. */
const MIN_DISTINCT_BYTES = 12;
/** Length of a stable key, in bytes. */
const STABLE_KEY_BYTES = 32;
const FILE_VERSION = 2;

/** `next` opens and does not seal yet, `active` seals, `former` opens what it sealed. */
export type MasterKeyState = 'next' | 'active' | 'former';

/** One master key. Times are in seconds since the epoch; the first key has none. */
export interface MasterKey {
  readonly id: string;
  readonly state: MasterKeyState;
  readonly key: Buffer;
  readonly createdAt?: number | undefined;
  readonly activatedAt?: number | undefined;
}

/** All master keys, one of them active, and what was derived from the first one. */
export interface MasterKeySet {
  readonly keys: readonly MasterKey[];
  readonly stable: StableKeys;
}

/** What cannot be done with the master keys, or a file that does not hold them. Quotes nothing of a key. */
export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError';
}

/** A fresh key as text. */
export const createMasterKeyText = (): string => `${randomBytes(MASTER_KEY_BYTES).toString('base64url')}\n`;

const storedSet = z.strictObject({
  version: z.literal(FILE_VERSION),
  keys: z
    .array(
      z.strictObject({
        id: z.string(),
        state: z.enum(['next', 'active', 'former']),
        key: z.string(),
        createdAt: z.number().optional(),
        activatedAt: z.number().optional(),
      }),
    )
    .min(1),
  stable: z.strictObject(
    Object.fromEntries(STABLE_PURPOSES.map((name) => [name, z.string()])) as Record<keyof StableKeys, z.ZodString>,
  ),
});

/**
 * The keys that a file holds: one key as base64url, or several as JSON. `path` names it in what is thrown.
 * @throws MasterKeyError
 */
export function parseMasterKeys(text: string, path: string): MasterKeySet {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) {
    const key = parseKey(trimmed, path);
    return { keys: [{ id: toKeyId(key), state: 'active', key }], stable: deriveStableKeys(key) };
  }
  const parsed = storedSet.safeParse(toJson(trimmed));
  if (!parsed.success) throw new MasterKeyError(`${path} is not a file of master keys`);
  const keys = parsed.data.keys.map((stored) => ({ ...stored, key: parseKey(stored.key, path) }));
  const wrong = keys.find(({ id, key }) => id !== toKeyId(key));
  if (wrong) throw new MasterKeyError(`${path}: the key ${wrong.id} has another id`);
  if (new Set(keys.map(({ id }) => id)).size < keys.length) throw new MasterKeyError(`${path} has a key twice`);
  if (count(keys, 'active') !== 1 || count(keys, 'next') > 1)
    throw new MasterKeyError(`${path} must have one active key, and at most one that is next`);
  const stable = Object.entries(parsed.data.stable).map(([name, value]) => [name, parseStable(value, path)]);
  return { keys, stable: Object.fromEntries(stable) as StableKeys };
}

/** The text of a file. A first key that is alone is written as versions that know nothing of several read it. */
export function toMasterKeyText({ keys, stable }: MasterKeySet): string {
  const [only] = keys;
  if (keys.length === 1 && only && isSameRoot(stable, deriveStableKeys(only.key)))
    return `${only.key.toString('base64url')}\n`;
  const stored: z.input<typeof storedSet> = {
    version: FILE_VERSION,
    keys: keys.map(({ key, ...rest }) => ({ ...rest, key: key.toString('base64url') })),
    stable: Object.fromEntries(
      Object.entries(stable).map(([name, key]) => [name, key.toString('base64url')]),
    ) as Record<keyof StableKeys, string>,
  };
  return `${JSON.stringify(stored, null, 2)}\n`;
}

/** Whether both sets began with the same key, so that one can stand for the other. */
export const isSameRoot = (one: StableKeys, other: StableKeys): boolean =>
  STABLE_PURPOSES.every((name) => timingSafeEqual(one[name], other[name]));

/** What a vault needs of them. */
export function toVaultKeys({ keys, stable }: MasterKeySet): VaultKeys {
  const others = keys.filter(({ state }) => state !== 'active').map(({ key }) => key);
  return { active: toActive(keys).key, others, stable };
}

/** Adds a key that opens and does not seal yet. @throws MasterKeyError where there is one */
export function addNextKey({ keys, stable }: MasterKeySet, now: number): MasterKeySet {
  const next = keys.find(({ state }) => state === 'next');
  if (next) throw new MasterKeyError(`the key ${next.id} is next already: activate it, or retire it`);
  const key = parseKey(createMasterKeyText().trim(), 'the new key');
  return { keys: [...keys, { id: toKeyId(key), state: 'next', key, createdAt: Math.floor(now) }], stable };
}

/** The next key seals from now on. @throws MasterKeyError where there is none */
export function activateNextKey({ keys, stable }: MasterKeySet, now: number): MasterKeySet {
  if (count(keys, 'next') === 0) throw new MasterKeyError('there is no next key: rotate first');
  const activatedAt = Math.floor(now);
  const moved = keys.map((key): MasterKey => {
    if (key.state === 'next') return { ...key, state: 'active', activatedAt };
    return key.state === 'active' ? { ...key, state: 'former' } : key;
  });
  return { keys: moved, stable };
}

/** Drops a key, but never the active one. @throws MasterKeyError */
export function dropKey({ keys, stable }: MasterKeySet, id: string): MasterKeySet {
  const key = keys.find((one) => one.id === id);
  if (key === undefined) throw new MasterKeyError('there is no master key of this id');
  if (key.state === 'active')
    throw new MasterKeyError(`the key ${id} is the one that seals: activate another one first`);
  return { keys: keys.filter((one) => one !== key), stable };
}

/** The key that seals. */
export function toActive(keys: readonly MasterKey[]): MasterKey {
  const active = keys.find(({ state }) => state === 'active');
  if (active === undefined) throw new TypeError('a set of master keys has an active one');
  return active;
}

const count = (keys: readonly { state: MasterKeyState }[], wanted: MasterKeyState): number =>
  keys.filter(({ state }) => state === wanted).length;

function parseKey(text: string, path: string): Buffer {
  const key = Buffer.from(text, 'base64url');
  if (key.length !== MASTER_KEY_BYTES || key.toString('base64url') !== text) {
    throw new MasterKeyError(`${path} must hold ${MASTER_KEY_BYTES} bytes as base64url`);
  }
  if (new Set(key).size < MIN_DISTINCT_BYTES)
    throw new MasterKeyError(`${path} repeats a few bytes; it must be random`);
  return key;
}

function parseStable(text: string, path: string): Buffer {
  const key = Buffer.from(text, 'base64url');
  if (key.length !== STABLE_KEY_BYTES || key.toString('base64url') !== text)
    throw new MasterKeyError(`${path}: a stable key is not ${STABLE_KEY_BYTES} bytes as base64url`);
  return key;
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
