/** A part of a compact token, by its name in RFC 7515 or RFC 7516. */
export interface TokenPart {
  readonly name: string;
  readonly text: string;
}

/** What can be read of a token without any key. */
export interface DecodedToken {
  readonly kind: 'JWS' | 'JWE';
  readonly parts: readonly TokenPart[];
  readonly header: Readonly<Record<string, unknown>>;
  /** Absent in a JWE: only the idproxy can read it. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

const PARTS: Readonly<Record<number, readonly string[]>> = {
  3: ['header', 'payload', 'signature'],
  5: ['header', 'encrypted key', 'initialization vector', 'ciphertext', 'authentication tag'],
};

/**
 * Splits and decodes a compact JWS or JWE. Nothing is verified: that is the idproxy's office.
 * @throws Error when the text is neither
 */
export function parseToken(text: string): DecodedToken {
  const texts = text.split('.');
  const names = PARTS[texts.length];
  if (names === undefined) throw new Error(`a token has 3 or 5 parts, this has ${texts.length}`);
  const parts = names.map((name, index) => ({ name, text: texts[index] ?? '' }));
  const header = decodeObject(texts[0] ?? '');
  return texts.length === 5
    ? { kind: 'JWE', parts, header }
    : { kind: 'JWS', parts, header, payload: decodeObject(texts[1] ?? '') };
}

function decodeObject(base64url: string): Record<string, unknown> {
  const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = Uint8Array.from(binary, (character) => character.codePointAt(0) ?? 0);
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  return value as Record<string, unknown>;
}
