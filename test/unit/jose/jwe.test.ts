import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';

import * as fc from 'fast-check';
import { errors } from 'jose';
import jose from 'node-jose';

import { JWE_ALGORITHMS, JWE_ENCRYPTIONS } from '../../../src/jose/algorithms.ts';
import { createJweDecrypter, createJweEncrypter, type JweDecrypter } from '../../../src/jose/jwe.ts';
import { createRsaPrivateKeyPem, KeyError, type RsaPublicJwk } from '../../../src/jose/jwk.ts';

const POLICY = { algs: JWE_ALGORITHMS, encs: JWE_ENCRYPTIONS };
const JWS = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln';

describe('JWE', () => {
  let pem: string;
  let decrypter: JweDecrypter;
  let stranger: JweDecrypter;

  before(async () => {
    pem = await createRsaPrivateKeyPem();
    decrypter = await createJweDecrypter('k-1', pem);
    stranger = await createJweDecrypter('k-1', await createRsaPrivateKeyPem());
  });

  for (const enc of JWE_ENCRYPTIONS) {
    it(`goes both ways, each time another text: ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', enc);
      const [first, second] = [await encrypter.encrypt(JWS), await encrypter.encrypt(JWS)];
      assert.notEqual(first, second);
      assert.equal(await decrypter.decrypt(first, POLICY), JWS);
      assert.equal(await decrypter.decrypt(second, { algs: ['RSA-OAEP'], encs: [enc] }), JWS);
    });

    it(`is understood by node-jose, and understands it: ${enc}`, async () => {
      const key = await jose.JWK.createKeyStore().add(pem, 'pem', { kid: 'k-1' });
      const ours = await (await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', enc)).encrypt(JWS);
      const { header, plaintext } = await jose.JWE.createDecrypt(key).decrypt(ours);
      assert.deepEqual(header, { alg: 'RSA-OAEP', enc, kid: 'k-1', typ: 'JWT', cty: 'JWT' });
      assert.equal(plaintext.toString(), JWS);
      const options = { format: 'compact', contentAlg: enc, fields: { alg: 'RSA-OAEP', cty: 'JWT' } } as const;
      const theirs = await jose.JWE.createEncrypt(options, key).update(Buffer.from(JWS)).final();
      assert.equal(await decrypter.decrypt(theirs, POLICY), JWS);
    });

    it(`fails alike for each part that is off: ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', enc);
      const token = await encrypter.encrypt(JWS);
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(1, 2, 3, 4), fc.nat(), async (part, at) => {
          const segments = token.split('.');
          const bytes = Buffer.from(segments[part] ?? '', 'base64url');
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ (1 << (at % 8));
          segments[part] = bytes.toString('base64url');
          await assert.rejects(decrypter.decrypt(segments.join('.'), POLICY), errors.JWEDecryptionFailed);
        }),
        { numRuns: 60 },
      );
      await assert.rejects(stranger.decrypt(token, POLICY), errors.JWEDecryptionFailed);
    });
  }

  it('is decrypted under the policy alone', async () => {
    const token = await (await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', 'A256GCM')).encrypt(JWS);
    await assert.rejects(decrypter.decrypt(token, { algs: ['RSA-OAEP'], encs: ['A128GCM'] }), errors.JOSEError);
    await assert.rejects(decrypter.decrypt(token, { algs: [], encs: JWE_ENCRYPTIONS }), errors.JOSEError);
  });

  it('is not what comes in plain or under a shared secret', async () => {
    const header = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const junk = randomBytes(16).toString('base64url');
    const secret = await jose.JWK.asKey({ kty: 'oct', k: randomBytes(32).toString('base64url') });
    const direct = await jose.JWE.createEncrypt(
      { format: 'compact', contentAlg: 'A256GCM', fields: { alg: 'dir' } },
      secret,
    )
      .update(JWS)
      .final();
    const tokens = [direct, `${header({ alg: 'none', enc: 'none' })}.${junk}.${junk}.${junk}.${junk}`, JWS, '....', ''];
    for (const token of tokens) await assert.rejects(decrypter.decrypt(token, POLICY), errors.JOSEError, token);
  });

  it('shows a public key without anything private', () => {
    assert.deepEqual(Object.keys(decrypter.jwk).sort(), ['e', 'kid', 'kty', 'n', 'use']);
    const { kty, e, n } = createPublicKey(pem).export({ format: 'jwk' });
    assert.deepEqual(decrypter.jwk, { kty, e, n, kid: 'k-1', use: 'enc' });
  });

  it('needs an RSA public key of 2048 bits with a kid', async () => {
    const { kid: _kid, ...withoutKid } = decrypter.jwk;
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const toJwk = (key: object): RsaPublicJwk => ({ ...key, kid: 'k' }) as RsaPublicJwk;
    const keys = {
      'no kid': withoutKid,
      'an empty kid': { ...withoutKid, kid: '' },
      'a private key': toJwk(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })),
      '1024 bits': toJwk(small.publicKey.export({ format: 'jwk' })),
      'an EC key': toJwk(elliptic.publicKey.export({ format: 'jwk' })),
      'a shared secret': toJwk({ kty: 'oct', k: 'AAAA' }),
      nothing: toJwk({}),
    };
    for (const [name, jwk] of Object.entries(keys)) {
      await assert.rejects(createJweEncrypter(jwk, 'RSA-OAEP', 'A256GCM'), KeyError, name);
    }
    for (const text of ['', 'x', small.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string]) {
      await assert.rejects(createJweDecrypter('k', text), KeyError);
    }
  });
});
