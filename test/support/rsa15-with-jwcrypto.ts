import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';

import { findPython } from '../../scripts/find-python.ts';
import type { JweEncryption } from '../../src/jose/algorithms.ts';
import type { RsaPublicJwk } from '../../src/jose/jwk.ts';
import type { Json } from './assertions.ts';

function ask(order: Json): Json {
  const python = findPython();
  if (python === undefined) throw new Error('no Python knows PyJWT and jwcrypto');
  const script = resolve('test', 'support', 'python', 'rsa15-with-jwcrypto.py');
  return JSON.parse(execFileSync(python, ['-I', script], { input: JSON.stringify(order), encoding: 'utf8' })) as Json;
}

/** A JWE under RSA1_5 that jwcrypto makes. */
export function encryptRsa15WithJwcrypto(
  content: string,
  jwk: RsaPublicJwk & { readonly kid: string },
  enc: JweEncryption,
): string {
  return String(ask({ act: 'encrypt', content, jwk, enc })['token']);
}

/** What jwcrypto finds in a JWE under RSA1_5. `key` is the private key as PEM. */
export function decryptRsa15WithJwcrypto(token: string, key: string, enc: JweEncryption): string {
  return String(ask({ act: 'decrypt', token, key, enc })['content']);
}
