import { z } from 'zod';

import { toIsoDate } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { createRsaPrivateKeyPem } from '../../jose/jwk.ts';
import { toKeyState } from '../../jose/keyring.ts';
import type { StoredDocument } from '../../stores/ports.ts';
import { reseal, type Vault } from '../../vault/vault.ts';
import type { PlatformKeyView } from './schemas.ts';

/** What a key of the platform is for. */
export type KeyUse = 'enc' | 'sig';

/** What the ids of the documents begin with; a number follows. */
export const ID_PREFIXES: Readonly<Record<KeyUse, string>> = { enc: 'jwe-', sig: 'sig-' };

/** Times are in seconds since the epoch. The members with defaults are not there in what earlier versions wrote. */
const storedKey = z.strictObject({
  kid: z.string(),
  use: z.enum(['enc', 'sig']).default('enc'),
  sealedKey: z.string(),
  createdAt: z.number().default(0),
  activatesAt: z.number().default(0),
  retiresAt: z.number().optional(),
});

/** A key of the platform as it is stored, its private key sealed. */
export interface PlatformKey extends z.output<typeof storedKey> {
  /** The document's. */
  readonly id: string;
  readonly revision: number;
}

/** SECURITY: the use is part of what it is sealed for: a key for one use is never taken for the other. */
const CONTEXTS: Readonly<Record<KeyUse, string>> = { enc: 'platform-key:', sig: 'platform-key:sig:' };
const toContext = ({ use, kid }: Pick<PlatformKey, 'use' | 'kid'>): string => CONTEXTS[use] + kid;

/** @throws AppError `internal` when the store holds something else */
export function parsePlatformKey({ id, revision, body }: StoredDocument): PlatformKey {
  const parsed = storedKey.safeParse(JSON.parse(body));
  if (!parsed.success)
    throw new AppError('internal', { detail: `the stored platform key ${id} cannot be read`, cause: parsed.error });
  return { ...parsed.data, id, revision };
}

/** A document's body. */
export function toKeyBody({ id: _, revision: _revision, ...stored }: PlatformKey): string {
  return JSON.stringify(stored);
}

/** The body of a fresh key. */
export async function createKeyBody(
  vault: Vault,
  key: Pick<PlatformKey, 'kid' | 'use' | 'createdAt' | 'activatesAt'>,
): Promise<string> {
  const sealedKey = vault.seal(await createRsaPrivateKeyPem(), toContext(key));
  return JSON.stringify({ ...key, sealedKey });
}

/** The private key, PEM. @throws VaultError */
export function openPlatformKey(vault: Vault, key: PlatformKey): string {
  return vault.open(key.sealedKey, toContext(key));
}

/** A document's body under the master key that seals now. @throws VaultError */
export function resealPlatformKey(vault: Vault, document: StoredDocument): string {
  const key = parsePlatformKey(document);
  return toKeyBody({ ...key, sealedKey: reseal(vault, key.sealedKey, toContext(key)) });
}

/** A key as the API shows it: nothing of the key itself. `all` are the keys of its use. */
export function toPlatformKeyView(key: PlatformKey, all: readonly PlatformKey[], now: number): PlatformKeyView {
  const { kid, use, createdAt, activatesAt, retiresAt } = key;
  return {
    kid,
    use,
    state: toKeyState(key, all, now),
    ...(createdAt > 0 && { createdAt: toIsoDate(createdAt) }),
    ...(activatesAt > 0 && { activatesAt: toIsoDate(activatesAt) }),
    ...(retiresAt !== undefined && { retiresAt: toIsoDate(retiresAt) }),
  };
}
