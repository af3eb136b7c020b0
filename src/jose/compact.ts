import { isUtf8 } from 'node:buffer';

import { JsonError, type JsonObject, parseJsonObject } from '../core/json.ts';
import { MAX_HEADER_BYTES, MAX_TOKEN_BYTES } from './limits.ts';
import { TokenError } from './token-error.ts';

/** A JWS in compact serialization, taken apart; nothing of it is verified. */
export interface CompactJws {
  readonly kind: 'jws';
  readonly text: string;
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** Header and payload as they were signed (RFC 7515 §5.1). */
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** A JWE in compact serialization, taken apart; nothing of it is decrypted. */
export interface CompactJwe {
  readonly kind: 'jwe';
  readonly text: string;
  readonly header: JsonObject;
}

/** Segments of each serialization (RFC 7515 §3.1, RFC 7516 §3.1). */
const KINDS: Readonly<Record<number, 'jws' | 'jwe'>> = { 3: 'jws', 5: 'jwe' };
const MAX_SEGMENTS = 5;

/**
 * Takes a token apart, strictly: canonical base64url, JSON objects without duplicate members, no critical extension
 * (none is known here), no compression.
 * @throws TokenError
 */
export function parseCompact(text: string): CompactJws | CompactJwe {
  if (text.length > MAX_TOKEN_BYTES) throw new TokenError(`the token is larger than ${MAX_TOKEN_BYTES} bytes`);
  const segments = text.split('.', MAX_SEGMENTS + 1);
  const kind = KINDS[segments.length];
  if (kind === undefined) throw new TokenError('the token is neither a JWS (3 parts) nor a JWE (5 parts)');
  const [encodedHeader = '', ...rest] = segments;
  if (encodedHeader.length > MAX_HEADER_BYTES)
    throw new TokenError(`the header is larger than ${MAX_HEADER_BYTES} bytes`);
  const header = parseObject(encodedHeader, 'header');
  if (header['crit'] !== undefined) throw new TokenError('the header has critical extensions ("crit")');
  if (kind === 'jwe') {
    if (header['zip'] !== undefined) throw new TokenError('the token is compressed ("zip")');
    for (const segment of rest) parseBase64url(segment);
    return { kind, text, header };
  }
  const [encodedPayload = '', encodedSignature = ''] = rest;
  return {
    kind,
    text,
    header,
    payload: parseObject(encodedPayload, 'payload'),
    signingInput: text.slice(0, text.length - encodedSignature.length - 1),
    signature: parseBase64url(encodedSignature),
  };
}

/** Serializes a header or claims for a compact token. */
export function toSegment(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function parseObject(segment: string, part: 'header' | 'payload'): JsonObject {
  const bytes = parseBase64url(segment);
  if (!isUtf8(bytes)) throw new TokenError(`the ${part} is not UTF-8`);
  try {
    return parseJsonObject(bytes.toString());
  } catch (error) {
    if (error instanceof JsonError) throw new TokenError(`the ${part} ${error.message}`);
    throw error;
  }
}

/**
 * SECURITY: one spelling only. Node skips padding, white space, other alphabets and stray bits; whoever compares or
 * remembers token texts would meet one token under many names.
 */
function parseBase64url(segment: string): Buffer {
  const bytes = Buffer.from(segment, 'base64url');
  if (bytes.toString('base64url') !== segment) throw new TokenError('a part of the token is not canonical base64url');
  return bytes;
}
