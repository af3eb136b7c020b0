import { createHmac, randomBytes, randomUUID } from 'node:crypto';

/** 128 random bits of an anonymous identity, as 22 base64url characters. */
export function createAnonymousIdentity(): string {
  return randomBytes(16).toString('base64url');
}

/** A client id in the platform's form, `cs-<uuid>`. */
export function createClientId(): string {
  return `cs-${randomUUID()}`;
}

/** `bytes` random bytes as base64url, for keys and tokens. */
export function createToken(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
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
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(`${Buffer.byteLength(part)}:`).update(part);
  const bytes = mac.digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A stored identity's id as clients know it. */
export function toUserId(identityId: string): string {
  return `u-${identityId}`;
}
