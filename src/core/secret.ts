import { createHash, hash, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

const SHOWN = '[secret]';

/** A value that never prints: not in a log, an error, JSON or a debugger's inspection. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it where the secret is used and nowhere else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** SHA-256 of a text, as lower-case hexadecimal. The form in which credentials are stored. */
export function sha256Hex(text: string): string {
  return hash('sha256', text, 'hex');
}

/**
 * Whether two texts are equal, in a time that depends on neither.
 * SECURITY: hashes first, so that the lengths do not show either.
 */
export function isSameText(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/** Whether `text` has the SHA-256 `expectedHex`, in constant time. */
export function isHashOf(text: string, expectedHex: string): boolean {
  const expected = Buffer.from(expectedHex, 'hex');
  const actual = createHash('sha256').update(text).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
