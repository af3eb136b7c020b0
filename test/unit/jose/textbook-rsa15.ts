import type { KeyObject } from 'node:crypto';

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x0${Buffer.from(bytes).toString('hex')}`);

/**
 * RSAES-PKCS1-v1_5 as RFC 8017 §7.2.2 writes it down, on BigInt: for comparison, since it leaks all that can be leaked.
 * @returns undefined where the RFC says "decryption error"
 */
export function decryptByTheBook(key: KeyObject, ciphertext: Uint8Array): Buffer | undefined {
  const { n = '', d = '' } = key.export({ format: 'jwk' });
  const modulusBytes = Buffer.from(n, 'base64url');
  const [modulus, exponent, value] = [
    toBigInt(modulusBytes),
    toBigInt(Buffer.from(d, 'base64url')),
    toBigInt(ciphertext),
  ];
  if (ciphertext.length !== modulusBytes.length || value >= modulus) return undefined;
  const hex = toPower(value, exponent, modulus).toString(16);
  const block = Buffer.from(hex.padStart(modulusBytes.length * 2, '0'), 'hex');
  const delimiter = block.indexOf(0, 2);
  return block[0] === 0 && block[1] === 2 && delimiter >= 10 ? block.subarray(delimiter + 1) : undefined;
}

function toPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base % modulus;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}
