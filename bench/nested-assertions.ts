import { constants, createCipheriv, createPublicKey, type JsonWebKey, publicEncrypt, randomBytes } from 'node:crypto';

import { type BenchApp, createAssertions } from './assertions.ts';

/** The platform's key that assertions are encrypted for. */
export type PlatformJwk = JsonWebKey & { readonly kid: string };

const CONTENT_KEY_BYTES = 32;
const IV_BYTES = 12;

/** HS256 assertions inside JWEs, RSA-OAEP and A256GCM, each with a `jti`, a content key and an IV of its own (RFC 7516 §5.1). */
export function createNestedAssertions(app: BenchApp, jwk: PlatformJwk, count: number): string[] {
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const header = { alg: 'RSA-OAEP', enc: 'A256GCM', cty: 'JWT', kid: jwk.kid };
  const protectedHeader = Buffer.from(JSON.stringify(header)).toString('base64url');
  return createAssertions(app, count).map((assertion) => {
    const contentKey = randomBytes(CONTENT_KEY_BYTES);
    const iv = randomBytes(IV_BYTES);
    const encryptedKey = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING }, contentKey);
    const cipher = createCipheriv('aes-256-gcm', contentKey, iv).setAAD(Buffer.from(protectedHeader));
    const ciphertext = Buffer.concat([cipher.update(assertion), cipher.final()]);
    const parts = [encryptedKey, iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url'));
    return [protectedHeader, ...parts].join('.');
  });
}
