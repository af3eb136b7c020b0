import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createJweDecrypter, type JweDecrypter } from '../jose/jwe.ts';
import { createKeyring, type Keyring, type TimedKey } from '../jose/keyring.ts';
import { createSigningKey, type SigningKey } from '../jose/signing-keys.ts';
import type { DocumentStore } from '../stores/ports.ts';
import { type Vault, VaultError } from '../vault/vault.ts';
import { parseApp } from './app-document.ts';
import { openSecret } from './keys/key-material.ts';
import { ensurePlatformKey, listPlatformKeys } from './platform-keys/registry.ts';
import { openPlatformKey, type PlatformKey } from './platform-keys/stored-key.ts';

/** How long after a reload that failed the next one is tried, in milliseconds. */
const RETRY_MS = 1_000;

export interface PlatformKeysDeps {
  readonly documents: DocumentStore;
  readonly vault: Vault;
  readonly clock: Clock;
  /** Told of a reload that failed; the keys that were loaded before stay in use. */
  readonly onProblem?: (detail: string) => void;
}

/** The platform's keys in memory, as fresh as the store's publications. */
export interface PlatformKeys {
  /**
   * The keys, loaded at the first use; the first process ever makes one for encryption.
   * @throws AppError where the store is away or was filled under another master key
   */
  readonly keyring: () => Promise<Keyring>;
  /** Ends what it watches. */
  close(): void;
}

export function createPlatformKeys({ documents, vault, clock, onProblem }: PlatformKeysDeps): PlatformKeys {
  const deps = { documents, vault, clock };
  const encryptionKeys = keepImported<JweDecrypter>(vault, createJweDecrypter);
  const signingKeys = keepImported<SigningKey>(vault, createSigningKey);
  let loaded: Promise<Keyring> | undefined;
  let retry: NodeJS.Timeout | undefined;
  let problem: string | undefined;
  let making: Promise<SigningKey> | undefined;
  let isClosed = false;

  // SECURITY: before anything is sealed under this master key, whatever is sealed already must open under it.
  const proveMasterKey = async (): Promise<void> => {
    for (const app of (await documents.list('apps')).map(parseApp))
      for (const key of app.keys) openSecret(vault, app.clientId, key);
  };

  const makeSigningKey = (): Promise<SigningKey> => {
    making ??= ensurePlatformKey(deps, 'sig')
      .then(async (key) => (await signingKeys.open([key]))[0]?.key as SigningKey)
      .finally(() => {
        making = undefined;
      });
    return making;
  };

  const load = async (): Promise<Keyring> => {
    await ensurePlatformKey(deps, 'enc', proveMasterKey);
    const keys = await listPlatformKeys(documents);
    const [encryption, signing] = await Promise.all([
      encryptionKeys.open(keys.filter(({ use }) => use === 'enc')),
      signingKeys.open(keys.filter(({ use }) => use === 'sig')),
    ]);
    return createKeyring({ encryption, signing, clock, makeSigningKey });
  };

  const refresh = (): void => {
    if (loaded === undefined || isClosed) return;
    clearTimeout(retry);
    const former = loaded;
    // Who asks while it is loaded waits for what was changed; where that fails, the former keys are better than none.
    loaded = load().then(
      (keyring) => {
        problem = undefined;
        return keyring;
      },
      (error: unknown) => {
        const found = `the platform keys could not be loaded: ${error instanceof Error ? error.message : String(error)}`;
        if (found !== problem) onProblem?.(found);
        problem = found;
        if (!isClosed) retry = setTimeout(refresh, RETRY_MS).unref();
        return former;
      },
    );
    loaded.catch(() => undefined);
  };
  const stopWatching = documents.watch('platform-keys', refresh);

  return {
    keyring: async () => {
      const asked = (loaded ??= load());
      try {
        return await asked;
      } catch (error) {
        if (loaded === asked) loaded = undefined;
        if (!(error instanceof VaultError)) throw error;
        const detail = 'the store was filled under another master key: bring back that master.key';
        throw new AppError('internal', { detail, cause: error });
      }
    },
    close: () => {
      isClosed = true;
      clearTimeout(retry);
      stopWatching();
    },
  };
}

/** Imports keys, each once; what is not asked for any more is let go of. */
function keepImported<Key>(vault: Vault, create: (kid: string, pem: string) => Promise<Key>) {
  let kept = new Map<string, Promise<Key>>();
  return {
    open: async (keys: readonly PlatformKey[]): Promise<TimedKey<Key>[]> => {
      const next: typeof kept = new Map();
      const imported = await Promise.all(
        keys.map(async (stored): Promise<TimedKey<Key>> => {
          const name = `${stored.kid} ${stored.sealedKey}`;
          const key = kept.get(name) ?? create(stored.kid, openPlatformKey(vault, stored));
          next.set(name, key);
          return { key: await key, activatesAt: stored.activatesAt, retiresAt: stored.retiresAt };
        }),
      );
      kept = next;
      return imported;
    },
  };
}
