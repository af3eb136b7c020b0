import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const FORMAT = 'v1';

/** Length of the master key, in bytes. */
export const MASTER_KEY_BYTES = 32;

/**
 * What is derived from the first master key for ever: the ids of users must not change with it. Once that key is not alone,
 * the file of the master keys holds the derived keys themselves.
 */
export const STABLE_PURPOSES = ['user-id'] as const;

/** The keys of {@link STABLE_PURPOSES}. */
export type StableKeys = Readonly<Record<(typeof STABLE_PURPOSES)[number], Buffer>>;

/** A sealed text that cannot be opened: another master key, another context, or bytes that were changed. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
}

/** Encryption at rest under the master keys. */
export interface Vault {
  /** Names the master key that seals, so that a text sealed under another one is recognised: 8 hexadecimal characters. */
  readonly keyId: string;
  /** Encrypts `text` with AES-256-GCM. `context` says what it is and whose; it must be the same at {@link Vault.open}. */
  seal(text: string, context: string): string;
  /** Opens what any of the master keys sealed. @throws VaultError */
  open(sealed: string, context: string): string;
  /**
   * A 256-bit key for one purpose (HKDF-SHA-256, RFC 5869): of the master key that seals, so another one after a rotation, but
   * for ever the same for {@link STABLE_PURPOSES}.
   */
  deriveKey(purpose: string): Buffer;
}

/** The master keys of a vault. */
export interface VaultKeys {
  /** Seals. */
  readonly active: Uint8Array;
  /** Open only. */
  readonly others: readonly Uint8Array[];
  readonly stable: StableKeys;
}

/** Where a vault has its master keys from. An unchanged set is the same object. */
export interface VaultKeySource {
  current(): VaultKeys;
  /** Looks whether there are newer ones than `current` says: a text was met that none of them sealed. */
  renew(): VaultKeys;
}

/** What a text begins with that was sealed under this master key. */
export const toSealedPrefix = (keyId: string): string => `${FORMAT}.${keyId}.`;

/** A key for one purpose from a master key. */
function deriveFrom(masterKey: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, '', `countersign/${purpose}`, 32));
}

/** The name of a master key, which tells nothing about it. */
export function toKeyId(masterKey: Uint8Array): string {
  return createHash('sha256').update(deriveFrom(masterKey, 'key-id')).digest('hex').slice(0, 8);
}

/** The keys of the stable purposes as they are while `masterKey` is the first. */
export function deriveStableKeys(masterKey: Uint8Array): StableKeys {
  return Object.fromEntries(STABLE_PURPOSES.map((name) => [name, deriveFrom(masterKey, name)])) as StableKeys;
}

/**
 * A vault over one master key of {@link MASTER_KEY_BYTES} bytes, or over keys that may be replaced while it is used.
 * @throws TypeError on a key of another length
 */
export function createVault(keys: Uint8Array | VaultKeySource): Vault {
  const source = keys instanceof Uint8Array ? toFixedSource(keys) : keys;
  let known: VaultKeys | undefined;
  let ring: Ring;
  const take = (next: VaultKeys): Ring => {
    if (next !== known) ring = createRing(next);
    known = next;
    return ring;
  };
  take(source.current());

  return {
    get keyId() {
      return take(source.current()).active.keyId;
    },
    deriveKey: (purpose) => take(source.current()).deriveKey(purpose),
    seal: (text, context) => take(source.current()).active.seal(text, context),
    open: (sealed, context) => {
      const key = take(source.current()).find(sealed) ?? take(source.renew()).find(sealed);
      if (key === undefined) throw new VaultError('sealed under another master key');
      return key.open(sealed, context);
    },
  };
}

/** The text sealed under the master key that seals now. @returns the same text where it is already @throws VaultError */
export function reseal(vault: Vault, sealed: string, context: string): string {
  return sealed.startsWith(toSealedPrefix(vault.keyId)) ? sealed : vault.seal(vault.open(sealed, context), context);
}

interface Ring {
  readonly active: SealingKey;
  find(sealed: string): SealingKey | undefined;
  deriveKey(purpose: string): Buffer;
}

interface SealingKey extends Pick<Vault, 'keyId' | 'seal' | 'open'> {
  readonly prefix: string;
}

function createRing({ active: masterKey, others, stable }: VaultKeys): Ring {
  const active = createSealingKey(masterKey);
  const keys = [active, ...others.map(createSealingKey)];
  const derived = new Map<string, Buffer>(Object.entries(stable));
  return {
    active,
    find: (sealed) => keys.find(({ prefix }) => sealed.startsWith(prefix)),
    deriveKey: (purpose) => {
      const key = derived.get(purpose) ?? deriveFrom(masterKey, purpose);
      derived.set(purpose, key);
      return Buffer.from(key);
    },
  };
}

function toFixedSource(masterKey: Uint8Array): VaultKeySource {
  checkLength(masterKey);
  const keys = { active: masterKey, others: [], stable: deriveStableKeys(masterKey) };
  return { current: () => keys, renew: () => keys };
}

function checkLength(masterKey: Uint8Array): void {
  if (masterKey.length !== MASTER_KEY_BYTES) throw new TypeError(`the master key must have ${MASTER_KEY_BYTES} bytes`);
}

function createSealingKey(masterKey: Uint8Array): SealingKey {
  checkLength(masterKey);
  const sealingKey = deriveFrom(masterKey, 'seal');
  const keyId = toKeyId(masterKey);
  const prefix = toSealedPrefix(keyId);
  return {
    keyId,
    prefix,
    seal(text, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, sealingKey, iv).setAAD(Buffer.from(context));
      const body = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return prefix + body.toString('base64url');
    },
    open(sealed, context) {
      const text = sealed.slice(prefix.length);
      const body = Buffer.from(text, 'base64url');
      // Node's reader passes over what is not base64url: one sealed text has one spelling.
      if (body.length < IV_BYTES + TAG_BYTES || body.toString('base64url') !== text)
        throw new VaultError('not a sealed text');
      const decipher = createDecipheriv(CIPHER, sealingKey, body.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(context)).setAuthTag(body.subarray(-TAG_BYTES));
      try {
        return decipher.update(body.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch (cause) {
        throw new VaultError('the sealed text was changed, or belongs elsewhere', { cause });
      }
    },
  };
}
