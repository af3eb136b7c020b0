import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { compactVerify, errors, importJWK } from 'jose';

import { isJwsAlgorithm, type JweAlgorithm, type JweEncryption } from '../../../src/jose/algorithms.ts';
import { type CompactJws, parseCompact } from '../../../src/jose/compact.ts';
import { createJweDecrypter } from '../../../src/jose/jwe.ts';
import { KeyError } from '../../../src/jose/jwk.ts';
import { createJwsVerifier } from '../../../src/jose/jws.ts';
import { unwrapRsa15 } from '../../../src/jose/rsa15.ts';
import { TokenError } from '../../../src/jose/token-error.ts';

interface Vector {
  readonly input: {
    readonly payload?: string;
    readonly plaintext?: string;
    readonly key: JsonWebKey & { readonly kid?: string };
  };
  readonly generated?: { readonly cek: string };
  readonly output: { readonly compact: string };
}

/** A vector of RFC 7515, RFC 7516 or RFC 7520, the cookbook of JOSE. */
function readVector(path: string): Vector {
  return JSON.parse(readFileSync(`test/vectors/${path}.json`, 'utf8')) as Vector;
}

/** The parts of a JWS whose payload is prose, which no assertion has. */
function split(text: string): CompactJws {
  const [header = '', payload = '', signature = ''] = text.split('.');
  return {
    kind: 'jws',
    text,
    header: JSON.parse(Buffer.from(header, 'base64url').toString()) as CompactJws['header'],
    payload: {},
    signingInput: `${header}.${payload}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

function parseJws(text: string): CompactJws {
  const token = parseCompact(text);
  assert.ok(token.kind === 'jws');
  return token;
}

/** Whether a token verifies under a client secret; one that is no client secret verifies nothing. */
async function isSignedUnder(secret: string, token: CompactJws): Promise<boolean> {
  try {
    return await (await createJwsVerifier('HS256', secret)).verify(token);
  } catch (error) {
    if (error instanceof KeyError) return false;
    throw error;
  }
}

const toPrivatePem = (key: JsonWebKey): string =>
  createPrivateKey({ key, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }) as string;
const toPublicPem = (key: JsonWebKey): string =>
  createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }) as string;

describe('the signatures of RFC 7515', () => {
  it('A.1, HS256: what is parsed bears the MAC; its key is no text, so no client secret is that key', async () => {
    const { input, output } = readVector('rfc7515/a_1.hmac-sha256');
    const token = parseJws(output.compact);
    assert.deepEqual(token.header, { typ: 'JWT', alg: 'HS256' });
    assert.deepEqual(token.payload, JSON.parse(input.payload ?? ''));
    const key = input.key.k ?? assert.fail();
    const mac = createHmac('sha256', Buffer.from(key, 'base64url')).update(token.signingInput).digest();
    assert.deepEqual(token.signature, mac);
    for (const secret of [key, Buffer.from(key, 'base64url').toString()]) {
      assert.equal(await isSignedUnder(secret, token), false);
    }
  });

  it('A.2, RS256: verifies, and not when one bit of any byte changed', async () => {
    const { input, output } = readVector('rfc7515/a_2.rsa_v15_sha256');
    const token = parseJws(output.compact);
    assert.deepEqual(token.payload, JSON.parse(input.payload ?? ''));
    const verifier = await createJwsVerifier('RS256', toPublicPem(input.key));
    assert.equal(await verifier.verify(token), true);
    for (let at = 0; at < token.signature.length; at += 1) {
      const signature = Buffer.from(token.signature);
      signature.writeUInt8(signature.readUInt8(at) ^ 1, at);
      const text = `${token.signingInput}.${signature.toString('base64url')}`;
      assert.equal(await verifier.verify(parseJws(text)), false, `byte ${at}`);
    }
  });

  it('A.3, ES256: is a good signature of an algorithm that is not taken', async () => {
    const { input, output } = readVector('rfc7515/a_3.ecdsa_p256_sha256');
    await compactVerify(output.compact, await importJWK(input.key, 'ES256'));
    assert.equal(isJwsAlgorithm(parseJws(output.compact).header['alg']), false);
    await assert.rejects(createJwsVerifier('RS256', toPublicPem(input.key)));
  });
});

describe('the signatures of RFC 7520', () => {
  it('4.1, RS256: verifies, and not when one character of it changed', async () => {
    const { input, output } = readVector('rfc7520/4_1.rsa_v15_signature');
    const publicPem = toPublicPem(input.key);
    const verifier = await createJwsVerifier('RS256', publicPem);
    assert.equal(await verifier.verify(split(output.compact)), true);
    assert.equal(await verifier.verify(split(output.compact.replace('.SX', '.SY'))), false);
    assert.equal(await (await createJwsVerifier('RS512', publicPem)).verify(split(output.compact)), false);
    assert.throws(() => parseCompact(output.compact), TokenError, 'its payload is prose, not claims');
  });

  it('4.4, HS256: a secret is used as text, so the key that the vector has in base64url does not verify it', async () => {
    const { input, output } = readVector('rfc7520/4_4.hmac-sha2_integrity_protection');
    const key = input.key.k ?? assert.fail();
    const { payload } = await compactVerify(output.compact, Buffer.from(key, 'base64url'), { algorithms: ['HS256'] });
    assert.equal(Buffer.from(payload).toString(), input.payload);
    assert.equal(await isSignedUnder(key, split(output.compact)), false);
    assert.throws(() => parseCompact(output.compact), TokenError);
  });
});

describe('the encryptions of RFC 7516 and RFC 7520', () => {
  const VECTORS: Readonly<Record<string, { path: string; alg: JweAlgorithm; enc: JweEncryption }>> = {
    'RFC 7516 A.1': { path: 'rfc7516/a_1.rsa-oaep_with_aes-gcm', alg: 'RSA-OAEP', enc: 'A256GCM' },
    'RFC 7516 A.2': { path: 'rfc7516/a_2.rsa_v15_with_aes-hmac-sha2', alg: 'RSA1_5', enc: 'A128CBC-HS256' },
    'RFC 7520 5.1': {
      path: 'rfc7520/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2',
      alg: 'RSA1_5',
      enc: 'A128CBC-HS256',
    },
    'RFC 7520 5.2': { path: 'rfc7520/5_2.key_encryption_using_rsa-oaep_with_aes-gcm', alg: 'RSA-OAEP', enc: 'A256GCM' },
  };

  for (const [name, { path, alg, enc }] of Object.entries(VECTORS)) {
    it(`${name}, ${alg} with ${enc}: decrypts, under that policy alone`, async () => {
      const { input, output } = readVector(path);
      const decrypter = await createJweDecrypter('k', toPrivatePem(input.key));
      const { header } = parseCompact(output.compact);
      assert.deepEqual([header['alg'], header['enc'], header['kid']], [alg, enc, input.key.kid]);
      const plaintext = await decrypter.decrypt(output.compact, { algs: [alg], encs: [enc] });
      assert.equal(Buffer.from(plaintext, 'latin1').toString(), input.plaintext);
      const otherAlg = alg === 'RSA1_5' ? 'RSA-OAEP' : 'RSA1_5';
      const otherEnc = enc === 'A256GCM' ? 'A128CBC-HS256' : 'A256GCM';
      for (const policy of [
        { algs: [otherAlg], encs: [enc] },
        { algs: [alg], encs: [otherEnc, 'A128GCM'] },
        { algs: [], encs: [enc] },
        { algs: [alg], encs: [] },
      ] as const) {
        await assert.rejects(decrypter.decrypt(output.compact, policy), errors.JWEDecryptionFailed);
      }
    });

    it(`${name}: not when one bit of any byte changed`, async () => {
      const { input, output } = readVector(path);
      const decrypter = await createJweDecrypter('k', toPrivatePem(input.key));
      const segments = output.compact.split('.');
      for (const [part, segment] of segments.entries()) {
        const bytes = Buffer.from(segment, 'base64url');
        for (let at = 0; at < bytes.length; at += part === 1 ? 8 : 1) {
          const changed = Buffer.from(bytes);
          changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
          const token = segments.with(part, changed.toString('base64url')).join('.');
          const decrypted = decrypter.decrypt(token, { algs: [alg], encs: [enc] });
          await assert.rejects(decrypted, errors.JWEDecryptionFailed, `part ${part}, byte ${at}`);
        }
      }
    });
  }

  for (const name of ['RFC 7516 A.2', 'RFC 7520 5.1']) {
    it(`${name}: the content key is the one of the vector`, () => {
      const { input, output, generated } = readVector(VECTORS[name]?.path ?? '');
      const encryptedKey = Buffer.from(output.compact.split('.')[1] ?? '', 'base64url');
      const unwrapped = unwrapRsa15(createPrivateKey({ key: input.key, format: 'jwk' }), encryptedKey, 32);
      assert.equal(Buffer.from(unwrapped).toString('base64url'), generated?.cek);
    });
  }
});
