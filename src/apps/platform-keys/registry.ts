import { randomUUID } from 'node:crypto';

import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { isLive, toKeyState } from '../../jose/keyring.ts';
import type { DocumentStore } from '../../stores/ports.ts';
import type { Vault } from '../../vault/vault.ts';
import type { PlatformKeyView } from './schemas.ts';
import {
  createKeyBody,
  ID_PREFIXES,
  type KeyUse,
  parsePlatformKey,
  type PlatformKey,
  toKeyBody,
  toPlatformKeyView,
} from './stored-key.ts';

const DAY_SECONDS = 86_400;

/**
 * How long a former key is taken after its successor is used, in seconds, where nobody says otherwise. `enc`: the longest life
 * that an app may allow an assertion, and time for issuers that hold a copy of the key. `sig`: the longest life of a bearer.
 */
export const RETENTION_SECONDS: Readonly<Record<KeyUse, number>> = { enc: 30 * DAY_SECONDS, sig: 30 * DAY_SECONDS };

/** How long after its end a key is deleted by the next act, in seconds: clocks differ. */
export const DELETED_AFTER_SECONDS = 3_600;

/** How often a document that somebody else changed is read again. */
const ATTEMPTS = 5;

/** The platform's keys and what an admin does with them. */
export interface PlatformKeyRegistry {
  /** By use, newest first. */
  list(): Promise<PlatformKeyView[]>;
  /** Makes and publishes a key, and says when the others end. @throws AppError `platform_key_conflict` where one is next already */
  rotate(use: KeyUse, activatesInSeconds: number): Promise<PlatformKeyView>;
  /** Sets the end. @throws AppError `platform_key_not_found`, `platform_key_conflict` where nothing would be left */
  retire(kid: string, retiresInSeconds?: number): Promise<PlatformKeyView>;
  /** Deletes a key at once. @throws AppError `platform_key_not_found`, `platform_key_conflict` where nothing would be left */
  remove(kid: string): Promise<void>;
}

export interface PlatformKeyRegistryDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
  readonly clock: Clock;
}

const conflict = (detail: string): AppError => new AppError('platform_key_conflict', { values: { detail } });

export function createPlatformKeyRegistry({ documents, vault, clock }: PlatformKeyRegistryDeps): PlatformKeyRegistry {
  const list = (): Promise<PlatformKey[]> => listPlatformKeys(documents);

  const find = async (kid: string): Promise<{ key: PlatformKey; others: PlatformKey[] }> => {
    const all = await list();
    const key = all.find((one) => one.kid === kid);
    if (key === undefined) throw new AppError('platform_key_not_found');
    return { key, others: all.filter((one) => one.use === key.use && one !== key) };
  };

  const show = async (kid: string): Promise<PlatformKeyView> => {
    const { key, others } = await find(kid);
    return toPlatformKeyView(key, [key, ...others], clock.nowSeconds());
  };

  /** Sets or clears the end of a key, whatever else somebody changes of it meanwhile. */
  const setEnd = async (kid: string, retiresAt: number | undefined): Promise<void> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const key = (await list()).find((one) => one.kid === kid);
      if (key === undefined) return;
      const { retiresAt: _, ...rest } = key;
      const body = toKeyBody({ ...rest, ...(retiresAt !== undefined && { retiresAt }) });
      if (await documents.update('platform-keys', key.id, body, key.revision)) return;
    }
    throw conflict('somebody else changes this key; try again');
  };

  /** Deletes what nobody can use any more: what was encrypted for it stays closed, whoever finds a copy. */
  const sweep = async (): Promise<void> => {
    const now = clock.nowSeconds();
    const ended = (await list()).filter((key) => !isLive(key, now - DELETED_AFTER_SECONDS));
    await Promise.all(ended.map(({ id }) => documents.remove('platform-keys', id)));
  };

  return {
    list: async () => {
      const all = await list();
      const now = clock.nowSeconds();
      const ofUse = (use: KeyUse): PlatformKeyView[] => {
        const keys = all.filter((key) => key.use === use).toSorted((a, b) => b.activatesAt - a.activatesAt);
        return keys.map((key) => toPlatformKeyView(key, keys, now));
      };
      return [...ofUse('enc'), ...ofUse('sig')];
    },
    rotate: async (use, activatesInSeconds) => {
      await sweep();
      const now = Math.floor(clock.nowSeconds());
      const keys = (await list()).filter((key) => key.use === use);
      const next = keys.find((key) => toKeyState(key, keys, now) === 'next');
      if (next) throw conflict(`the key ${next.kid} is next already: wait until it is used, or retire it now`);
      if (!keys.some((key) => isLive(key, now))) {
        return show((await ensurePlatformKey({ documents, vault, clock }, use)).kid);
      }
      const kid = randomUUID();
      const activatesAt = now + activatesInSeconds;
      const body = await createKeyBody(vault, { kid, use, createdAt: now, activatesAt });
      if (!(await documents.insert('platform-keys', toNextId(use, keys), body)))
        throw conflict('somebody else made a key at the same time; look at the list');
      // Should this process die here, the former keys have no end yet: the next rotation gives them one.
      const endless = keys.filter((key) => key.retiresAt === undefined);
      await Promise.all(endless.map((key) => setEnd(key.kid, activatesAt + RETENTION_SECONDS[use])));
      return show(kid);
    },
    retire: async (kid, retiresInSeconds) => {
      const now = Math.floor(clock.nowSeconds());
      const { key, others } = await find(kid);
      const successor = others.find((other) => other.retiresAt === undefined);
      const successorAt = Math.max(now, successor?.activatesAt ?? now);
      const retiresAt = now + (retiresInSeconds ?? successorAt - now + RETENTION_SECONDS[key.use]);
      checkCovered(key, others, retiresAt);
      if (retiresInSeconds !== undefined || key.retiresAt === undefined) await setEnd(kid, retiresAt);
      return show(kid);
    },
    remove: async (kid) => {
      const now = clock.nowSeconds();
      const { key, others } = await find(kid);
      const isNext = toKeyState(key, [key, ...others], now) === 'next';
      const heir = others.find((other) => toKeyState(other, [key, ...others], now) === 'current');
      // A next key that is given up had given the current one an end.
      if (isNext && heir && !others.some((other) => other.retiresAt === undefined)) await setEnd(heir.kid, undefined);
      else if (isLive(key, now)) checkCovered(key, others, now);
      await documents.remove('platform-keys', key.id);
      await sweep();
    },
  };
}

/** Every key of the platform. @throws AppError `internal` on one that cannot be read */
export async function listPlatformKeys(documents: DocumentStore): Promise<PlatformKey[]> {
  return (await documents.list('platform-keys')).map(parsePlatformKey);
}

/** A live key of this use: one that is there, or else a new one that is used at once. Of many that ask together one makes it. */
export async function ensurePlatformKey(
  { documents, vault, clock }: PlatformKeyRegistryDeps,
  use: KeyUse,
  beforeMaking?: () => Promise<void>,
): Promise<PlatformKey> {
  const now = clock.nowSeconds();
  const findLive = async (): Promise<{ live: PlatformKey | undefined; keys: PlatformKey[] }> => {
    const keys = (await listPlatformKeys(documents)).filter((key) => key.use === use);
    return { live: keys.find((key) => isLive(key, now) && key.activatesAt <= now), keys };
  };
  const { live, keys } = await findLive();
  if (live) return live;
  await beforeMaking?.();
  // Used from ever: a process whose clock is behind must not take it for a key that is not used yet.
  const times = { createdAt: Math.floor(now), activatesAt: 0 };
  const body = await createKeyBody(vault, { kid: randomUUID(), use, ...times });
  await documents.insert('platform-keys', toNextId(use, keys), body);
  const made = (await findLive()).live;
  if (made === undefined) throw new AppError('internal', { detail: `the platform has no live key for "${use}"` });
  return made;
}

/** The id after the last one. Processes that make a key at the same time all try to insert it, and all use the winner's. */
function toNextId(use: KeyUse, keys: readonly PlatformKey[]): string {
  const prefix = ID_PREFIXES[use];
  const numbers = keys.map(({ id }) => Number(id.slice(prefix.length))).filter(Number.isSafeInteger);
  return `${prefix}${Math.max(0, ...numbers) + 1}`;
}

/** SECURITY: without a key nothing can be decrypted or signed. Another one must be used by then, and have no end. */
function checkCovered(key: PlatformKey, others: readonly PlatformKey[], at: number): void {
  const successor = others.find((other) => other.retiresAt === undefined);
  if (successor === undefined) throw conflict(`the key ${key.kid} is the last one: rotate first`);
  const wait = Math.ceil(successor.activatesAt - at);
  const isCover = ({ activatesAt, retiresAt = Infinity }: PlatformKey): boolean =>
    activatesAt <= at && retiresAt >= successor.activatesAt;
  if (wait > 0 && !others.some(isCover)) throw conflict(`its successor ${successor.kid} is used only ${wait} s later`);
}
