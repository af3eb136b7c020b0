import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { AppError } from '../core/errors.ts';
import { createJweDecrypter } from '../jose/jwe.ts';
import { createRsaPrivateKeyPem } from '../jose/jwk.ts';
import { createKeyring, type Keyring } from '../jose/keyring.ts';
import type { DocumentStore, StoredDocument } from '../stores/ports.ts';
import { type Vault, VaultError } from '../vault/vault.ts';
import { openKey, parseApp } from './app-document.ts';

/** The id of the first key. Processes that start together all try to insert it, and all use the winner's. */
const FIRST_KEY_ID = 'jwe-1';

const storedKey = z.strictObject({ kid: z.string(), sealedKey: z.string() });

const toContext = (kid: string): string => `platform-key:${kid}`;

export interface PlatformKeysDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
}

/** The platform's JWE keys, loaded at the first use and then kept; the first process ever makes one. */
export function createPlatformKeys({ documents, vault }: PlatformKeysDeps): () => Promise<Keyring> {
  const read = async ({ id, body }: StoredDocument) => {
    const parsed = storedKey.safeParse(JSON.parse(body));
    if (!parsed.success)
      throw new AppError('internal', { detail: `the stored platform key ${id} cannot be read`, cause: parsed.error });
    const { kid, sealedKey } = parsed.data;
    return createJweDecrypter(kid, vault.open(sealedKey, toContext(kid)));
  };

  const make = async (): Promise<void> => {
    const kid = randomUUID();
    const sealedKey = vault.seal(await createRsaPrivateKeyPem(), toContext(kid));
    await documents.insert('platform-keys', FIRST_KEY_ID, JSON.stringify({ kid, sealedKey }));
  };

  // SECURITY: before anything is sealed under this master key, whatever is sealed already must open under it.
  const proveMasterKey = async (): Promise<void> => {
    for (const app of (await documents.list('apps')).map(parseApp))
      if (app.sealedSecret !== undefined) openKey(vault, app);
  };

  const load = async (): Promise<Keyring> => {
    if ((await documents.get('platform-keys', FIRST_KEY_ID)) === undefined) {
      await proveMasterKey();
      await make();
    }
    const stored = await documents.list('platform-keys');
    return createKeyring(await Promise.all(stored.map(read)));
  };

  let keyring: Promise<Keyring> | undefined;
  return async () => {
    keyring ??= load();
    try {
      return await keyring;
    } catch (error) {
      keyring = undefined;
      if (!(error instanceof VaultError)) throw error;
      const detail = 'the store was filled under another master key: bring back that master.key';
      throw new AppError('internal', { detail, cause: error });
    }
  };
}
