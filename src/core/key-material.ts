/** The least key material of a secret that keys a hash, in bits, where its alphabet shows how much it may have. */
export const MIN_KEY_MATERIAL_BITS = 256;

/** How secrets are written, the narrowest first; bits of each character, and signs that only divide. */
const ALPHABETS = [
  { name: 'decimal digits', text: /^\d+$/, bits: Math.log2(10), divides: /[-\s:.]/g, needs: '78 of them' },
  { name: 'hexadecimal', text: /^[\da-f]+$/i, bits: 4, divides: /[-\s:]/g, needs: '64 digits' },
  {
    name: 'base64',
    text: /^[\w+/-]+$/,
    bits: 6,
    divides: /=+$/g,
    needs: '43 characters without the signs at its end',
  },
] as const;

/**
 * Why a secret has too little key material, if its alphabet shows that: 32 hexadecimal digits are 16 bytes, whatever their length as
 * text.
 * @returns the rest of a sentence about the secret, which quotes nothing of it; undefined where nothing is known against it
 */
export function findMaterialProblem(secret: string): string | undefined {
  for (const { name, text, bits, divides, needs } of ALPHABETS) {
    const bare = secret.replaceAll(divides, '');
    if (!text.test(bare)) continue;
    const material = Math.floor(bare.length * bits);
    if (material >= MIN_KEY_MATERIAL_BITS) return undefined;
    return `has at most ${material} bits, as ${name}; at least ${MIN_KEY_MATERIAL_BITS} are asked for (${needs})`;
  }
  return undefined;
}
