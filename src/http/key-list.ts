import { createHash, timingSafeEqual } from 'node:crypto';

/** API keys of callers, as hashes, each with a label that says whose it is. */
export interface KeyList {
  readonly size: number;
  /** The label of a key. Compares with every entry, in constant time. @returns undefined for an unknown key */
  find(key: string): string | undefined;
}

/** A key list that cannot be read; the message names the line and quotes nothing of it. */
export class KeyListError extends Error {
  override readonly name = 'KeyListError';
}

const ENTRY = /^([\w.@ -]{1,64}):([0-9a-f]{64})$/;

/**
 * A list of lines `label:sha256` (hexadecimal); empty lines and lines that begin with `#` are passed over.
 * @throws KeyListError
 */
export function parseKeyList(text: string): KeyList {
  const entries = text.split('\n').flatMap((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return [];
    const [, label, hash] = ENTRY.exec(line) ?? [];
    if (label === undefined || hash === undefined) throw new KeyListError(`line ${index + 1} is not label:sha256`);
    return [{ label, hash: Buffer.from(hash, 'hex') }];
  });
  return {
    size: entries.length,
    find: (key) => {
      const hash = createHash('sha256').update(key).digest();
      let found: string | undefined;
      for (const entry of entries) if (timingSafeEqual(entry.hash, hash)) found = entry.label;
      return found;
    },
  };
}
