import { join } from 'node:path';

import { countSealedDocuments, reencryptDocuments, type ReencryptProgress, SEALED_HERE } from '../apps/reencrypt.ts';
import { type Clock, toIsoDate } from '../core/clock.ts';
import { resealAuthority } from '../gateway/certificates/authority.ts';
import type { Collection, Store } from '../stores/ports.ts';
import { changeMasterKeys, MASTER_KEY_FILE, readMasterKeys } from '../vault/master-key.ts';
import {
  activateNextKey,
  addNextKey,
  dropKey,
  type MasterKey,
  MasterKeyError,
  toActive,
} from '../vault/master-key-set.ts';
import { toSealedPrefix, type Vault } from '../vault/vault.ts';

/**
 * How long after a key was activated another one may be retired, in seconds: processes look at the file every few seconds, and
 * seal under the former key until then.
 */
export const MASTER_KEY_SETTLE_SECONDS = 60;

/** What is sealed in documents, by collection. Whatever room has such documents is named here. */
const SEALED = { ...SEALED_HERE, 'gateway-keys': resealAuthority };
const SEALED_COLLECTIONS = Object.keys(SEALED) as Collection[];

export interface MasterKeysDeps {
  readonly keysDir: string;
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
}

/** A master key as it is listed: nothing of the key itself. */
const toView = ({ id, state, createdAt, activatedAt }: MasterKey) => ({
  keyId: id,
  state,
  ...(createdAt !== undefined && { createdAt: toIsoDate(createdAt) }),
  ...(activatedAt !== undefined && { activatedAt: toIsoDate(activatedAt) }),
});

/** What an admin does with the master keys. Each of them throws MasterKeyError where it cannot be done. */
export interface MasterKeys {
  list(): Promise<object[]>;
  /** Adds a key that opens and does not seal yet. */
  rotate(): Promise<object>;
  /** Lets the next key seal. */
  activate(): Promise<object>;
  /** Seals all documents anew under the active key. */
  reencrypt(onProgress: (progress: ReencryptProgress) => void): Promise<object>;
  /** Drops a key that nothing is sealed under any more; `mayLose`: but for what ends by itself. */
  retire(keyId: string, mayLose: boolean): Promise<object>;
}

export function createMasterKeys({ keysDir, store, vault, clock }: MasterKeysDeps): MasterKeys {
  const file = join(keysDir, MASTER_KEY_FILE);
  const { documents, sealed } = store;

  return {
    list: async () => (await readMasterKeys(keysDir)).keys.map(toView),
    rotate: async () => {
      const { keys } = await changeMasterKeys(keysDir, (set) => addNextKey(set, clock.nowSeconds()));
      const next = keys.filter(({ state }) => state === 'next').map(toView)[0];
      return {
        ...next,
        file,
        nextStep: 'copy the file to every machine; then, on one: countersign keys activate master',
      };
    },
    activate: async () => {
      const { keys } = await changeMasterKeys(keysDir, (set) => activateNextKey(set, clock.nowSeconds()));
      const nextStep = 'copy the file to every machine; then: countersign keys reencrypt';
      return { ...toView(toActive(keys)), file, nextStep };
    },
    reencrypt: async (onProgress) => {
      const results = await reencryptDocuments({ documents, vault, collections: SEALED, onProgress });
      const former = (await readMasterKeys(keysDir)).keys.filter(({ id }) => id !== vault.keyId);
      const left = await Promise.all(
        former.map(async ({ id }) => [id, await sealed.count(toSealedPrefix(id))] as const),
      );
      return {
        keyId: vault.keyId,
        documents: results.map(({ collection, of, changed }) => ({ collection, of, changed })),
        // Nothing of it is sealed anew: it ends with its session or its conversation.
        left: Object.fromEntries(left),
      };
    },
    retire: async (keyId, mayLose) => {
      const { keys } = await readMasterKeys(keysDir);
      const age = clock.nowSeconds() - (toActive(keys).activatedAt ?? 0);
      if (age < MASTER_KEY_SETTLE_SECONDS) {
        const wait = Math.ceil(MASTER_KEY_SETTLE_SECONDS - age);
        throw new MasterKeyError(`a key was activated just now: try again in ${wait} s`);
      }
      dropKey(await readMasterKeys(keysDir), keyId);
      const found = Object.entries(await countSealedDocuments(documents, SEALED_COLLECTIONS, keyId));
      if (found.length > 0) {
        const what = found.map(([collection, count]) => `${count} in ${collection}`).join(', ');
        throw new MasterKeyError(`the key ${keyId} sealed documents (${what}): countersign keys reencrypt`);
      }
      const { sessions, messages } = await sealed.count(toSealedPrefix(keyId));
      if (!mayLose && sessions + messages > 0)
        throw new MasterKeyError(
          `the key ${keyId} sealed the contexts of ${sessions} sessions and ${messages} messages: wait until they have ended, or --now`,
        );
      const changed = await changeMasterKeys(keysDir, (set) => dropKey(set, keyId));
      return {
        retired: keyId,
        ...(sessions + messages > 0 && { lost: { sessions, messages } }),
        keys: changed.keys.map(toView),
        nextStep: 'copy the file to every machine; nothing opens what an old copy of it or of the store holds',
      };
    },
  };
}
