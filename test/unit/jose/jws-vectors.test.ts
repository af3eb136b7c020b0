import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { compactVerify } from 'jose';

import { type CompactJws, parseCompact } from '../../../src/jose/compact.ts';
import { createJweDecrypter } from '../../../src/jose/jwe.ts';
import { createJwsVerifier } from '../../../src/jose/jws.ts';
import { TokenError } from '../../../src/jose/token-error.ts';

interface Vector {
  readonly input: {
    readonly payload?: string;
    readonly plaintext?: string;
    readonly key: JsonWebKey & { kid: string };
  };
  readonly output: { readonly compact: string };
}

/** A vector of RFC 7520, the cookbook of JOSE. */
function readVector(name: string): Vector {
  return JSON.parse(readFileSync(`test/vectors/rfc7520/${name}.json`, 'utf8')) as Vector;
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

const toPem = (key: JsonWebKey): string =>
  createPrivateKey({ key, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }) as string;

describe('the vectors of RFC 7520', () => {
  it('4.1, RS256: verifies, and not when one character of it changed', async () => {
    const { input, output } = readVector('4_1.rsa_v15_signature');
    const publicPem = createPublicKey({ key: input.key, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    }) as string;
    const verifier = await createJwsVerifier('RS256', publicPem);
    assert.equal(await verifier.verify(split(output.compact)), true);
    assert.equal(await verifier.verify(split(output.compact.replace('.SX', '.SY'))), false);
    assert.equal(await (await createJwsVerifier('RS512', publicPem)).verify(split(output.compact)), false);
    assert.throws(() => parseCompact(output.compact), TokenError, 'its payload is prose, not claims');
  });

  it('4.4, HS256: a secret is used as text, so the key that the vector has in base64url does not verify it', async () => {
    const { input, output } = readVector('4_4.hmac-sha2_integrity_protection');
    const key = input.key.k ?? assert.fail();
    const { payload } = await compactVerify(output.compact, Buffer.from(key, 'base64url'), { algorithms: ['HS256'] });
    assert.equal(Buffer.from(payload).toString(), input.payload);
    assert.equal(await (await createJwsVerifier('HS256', key)).verify(split(output.compact)), false);
    assert.throws(() => parseCompact(output.compact), TokenError);
  });

  it('5.2, RSA-OAEP with A256GCM: decrypts, under that policy alone', async () => {
    const { input, output } = readVector('5_2.key_encryption_using_rsa-oaep_with_aes-gcm');
    const decrypter = await createJweDecrypter(input.key.kid, toPem(input.key));
    assert.equal(parseCompact(output.compact).header['kid'], input.key.kid);
    const plaintext = await decrypter.decrypt(output.compact, { algs: ['RSA-OAEP'], encs: ['A256GCM'] });
    assert.equal(Buffer.from(plaintext, 'latin1').toString(), input.plaintext);
    for (const policy of [
      { algs: ['RSA-OAEP'], encs: ['A128GCM', 'A128CBC-HS256'] },
      { algs: [], encs: ['A256GCM'] },
    ] as const) {
      await assert.rejects(decrypter.decrypt(output.compact, policy));
    }
  });

  it('5.1, RSA1_5: is refused, whatever the policy', async () => {
    const { input, output } = readVector('5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2');
    const decrypter = await createJweDecrypter(input.key.kid, toPem(input.key));
    await assert.rejects(decrypter.decrypt(output.compact, { algs: ['RSA-OAEP'], encs: ['A128CBC-HS256'] }));
    const forced = { algs: ['RSA1_5' as 'RSA-OAEP'], encs: ['A128CBC-HS256'] } as const;
    await assert.rejects(decrypter.decrypt(output.compact, forced));
  });
});
