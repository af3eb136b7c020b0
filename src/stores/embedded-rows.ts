import { AppError } from '../core/errors.ts';

/**
 * A text as SQLite keeps it here: its UTF-8 bytes.
 * SECURITY: bound as text it would end at the first U+0000, and two keys that differ behind it would be one.
 */
export function toBlob(text: string): Buffer {
  return Buffer.from(text);
}

/** The text of a stored value. */
export function toText(blob: Uint8Array): string {
  return Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength).toString();
}

/** The failure of anything that the database file did not do. */
export function toUnavailable(cause: unknown): AppError {
  return new AppError('store_unavailable', { detail: 'embedded store: the database file does not answer', cause });
}

/**
 * What `read` returns.
 * @throws AppError `store_unavailable` where the file cannot be read
 */
export async function reading<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (cause) {
    throw toUnavailable(cause);
  }
}
