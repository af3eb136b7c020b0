import { resolve } from 'node:path';

import jsonwebtoken from 'jsonwebtoken';
import nodeJose from 'node-jose';

import { findPython } from '../../scripts/find-python.ts';
import type { JweEncryption, JwsAlgorithm } from '../../src/jose/algorithms.ts';
import type { RsaPublicJwk } from '../../src/jose/jwk.ts';
import type { Json } from './assertions.ts';
import { describeChild, startChild } from './child.ts';

/** Claims, and under what they are signed: the client secret as text, or a PEM key. */
export interface SignOrder {
  readonly alg: JwsAlgorithm;
  readonly key: string;
  readonly claims: Json;
}

/** A token, and what it must be signed under. */
export interface VerifyOrder {
  readonly alg: JwsAlgorithm;
  /** The client secret as text, or the public key as PEM. */
  readonly key: string;
  readonly token: string;
  readonly audience: string;
}

/** Another implementation of JWS. */
export interface Signer {
  sign(order: SignOrder): Promise<string>;
  /** The claims. @returns undefined when the signature does not hold */
  verify(order: VerifyOrder): Promise<Json | undefined>;
}

/** Another implementation of JWE, RSA-OAEP. */
export interface Encrypter {
  encrypt(content: string, jwk: RsaPublicJwk & { readonly kid: string }, enc: JweEncryption): Promise<string>;
  /** @param key - the private key as PEM */
  decrypt(token: string, key: string): Promise<string>;
}

/** Runs one of the Python scripts; keys go through its standard input. */
async function askPython(script: string, order: Json): Promise<Json> {
  const python = findPython();
  if (python === undefined) throw new Error('no Python knows PyJWT and jwcrypto');
  const path = resolve('test', 'support', 'python', script);
  const child = await startChild({
    command: python,
    args: ['-I', path],
    cwd: process.cwd(),
    input: JSON.stringify(order),
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${script} failed\n${describeChild(child)}`);
  return JSON.parse(child.stdout()) as Json;
}

function createPythonSigner(script: string): Signer {
  return {
    sign: async (order) => String((await askPython(script, { act: 'sign', ...order }))['token']),
    verify: async (order) => (await askPython(script, { act: 'verify', ...order }))['claims'] as Json | undefined,
  };
}

async function toNodeJoseKey(alg: JwsAlgorithm, key: string): Promise<nodeJose.JWK.Key> {
  return alg.startsWith('HS')
    ? nodeJose.JWK.asKey({ kty: 'oct', k: Buffer.from(key).toString('base64url'), alg })
    : nodeJose.JWK.asKey(key, 'pem', { alg });
}

/** Who signs and verifies besides us. */
export const SIGNERS: Readonly<Record<string, Signer>> = {
  jsonwebtoken: {
    sign: async ({ alg, key, claims }) => jsonwebtoken.sign(claims, key, { algorithm: alg }),
    verify: async ({ alg, key, token, audience }) => {
      try {
        return jsonwebtoken.verify(token, key, { algorithms: [alg], audience }) as Json;
      } catch (error) {
        if (error instanceof jsonwebtoken.JsonWebTokenError) return undefined;
        throw error;
      }
    },
  },
  'node-jose': {
    sign: async ({ alg, key, claims }) => {
      const options = { format: 'compact', fields: { typ: 'JWT' } } as const;
      // A text would be taken as Latin-1.
      const content = Buffer.from(JSON.stringify(claims));
      const signed: unknown = await nodeJose.JWS.createSign(options, await toNodeJoseKey(alg, key))
        .update(content)
        .final();
      return String(signed);
    },
    verify: async ({ alg, key, token }) => {
      const verifier = nodeJose.JWS.createVerify(await toNodeJoseKey(alg, key), { algorithms: [alg] });
      return verifier.verify(token).then(
        ({ payload }) => JSON.parse(payload.toString()) as Json,
        () => undefined,
      );
    },
  },
  PyJWT: createPythonSigner('with-pyjwt.py'),
  jwcrypto: createPythonSigner('with-jwcrypto.py'),
};

/** Who encrypts and decrypts besides us. */
export const ENCRYPTERS: Readonly<Record<string, Encrypter>> = {
  'node-jose': {
    encrypt: async (content, jwk, enc) => {
      const options = { format: 'compact', contentAlg: enc, fields: { alg: 'RSA-OAEP', cty: 'JWT' } } as const;
      return nodeJose.JWE.createEncrypt(options, await nodeJose.JWK.asKey(jwk))
        .update(Buffer.from(content))
        .final();
    },
    decrypt: async (token, key) => {
      const { plaintext } = await nodeJose.JWE.createDecrypt(await nodeJose.JWK.asKey(key, 'pem')).decrypt(token);
      return plaintext.toString();
    },
  },
  jwcrypto: {
    encrypt: async (content, jwk, enc) => {
      const answer = await askPython('with-jwcrypto.py', { act: 'encrypt', content, jwk, enc });
      return String(answer['token']);
    },
    decrypt: async (token, key) => {
      const answer = await askPython('with-jwcrypto.py', { act: 'decrypt', token, key });
      return String(answer['content']);
    },
  },
};
