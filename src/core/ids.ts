import { createHmac, randomUUID } from 'node:crypto';

import { createRandomText } from './random.ts';

/** 128 random bits of an anonymous identity, as 22 base64url characters. */
export function createAnonymousIdentity(): string {
  return createRandomText(16, 'base64url');
}

/** A client id in the platform's form, `cs-<uuid>`. */
export function createClientId(): string {
  return `cs-${randomUUID()}`;
}

/** `bytes` random bytes as base64url, for keys and tokens. */
export function createToken(bytes: number): string {
  return createRandomText(bytes, 'base64url');
}

/** A fresh `jti`: a version 4 UUID, 122 random bits (RFC 9562 §5.4). */
export function createJti(): string {
  return randomUUID();
}

/**
 * A UUID that is always the same for the same key and parts, and tells nobody the parts
 * (RFC 9562 §5.8, version 8: the first 122 free bits of an HMAC-SHA-256).
 */
export function toStableUuid(key: Uint8Array, ...parts: string[]): string {
  let input = '';
  for (const part of parts) input += `${Buffer.byteLength(part)}:${part}`;
  // As one text in and one text out: half of what the same digest costs in pieces and as bytes.
  const hex = createHmac('sha256', key).update(input).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A stored identity's id as clients know it. */
export function toUserId(identityId: string): string {
  return `u-${identityId}`;
}
