import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';

import * as fc from 'fast-check';
import jose from 'node-jose';

import { JWE_ALGORITHMS, JWE_ENCRYPTIONS } from '../../../src/jose/algorithms.ts';
import { parseCompact } from '../../../src/jose/compact.ts';
import { createJweDecrypter, createJweEncrypter, type JweDecrypter } from '../../../src/jose/jwe.ts';
import { createRsaPrivateKeyPem, KeyError, type RsaPublicJwk } from '../../../src/jose/jwk.ts';

const POLICY = { algs: JWE_ALGORITHMS, encs: JWE_ENCRYPTIONS };
/** The one failure. */
const FAILURE = { name: 'JWEDecryptionFailed', message: 'decryption operation failed' };
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

  for (const [alg, enc] of JWE_ALGORITHMS.flatMap((one) => JWE_ENCRYPTIONS.map((other) => [one, other] as const))) {
    it(`goes both ways, each time another text: ${alg}, ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, alg, enc);
      const [first, second] = [encrypter.encrypt(JWS), encrypter.encrypt(JWS)];
      for (const part of [1, 2, 3, 4]) assert.notEqual(first.split('.')[part], second.split('.')[part]);
      assert.deepEqual(parseCompact(first).header, { alg, enc, kid: 'k-1', typ: 'JWT', cty: 'JWT' });
      assert.equal(await decrypter.decrypt(first, POLICY), JWS);
      assert.equal(await decrypter.decrypt(second, { algs: [alg], encs: [enc] }), JWS);
    });

    it(`fails alike for each part that is off: ${alg}, ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, alg, enc);
      const token = encrypter.encrypt(JWS);
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(0, 1, 2, 3, 4), fc.nat(), async (part, at) => {
          const segments = token.split('.');
          const bytes = Buffer.from(segments[part] ?? '', 'base64url');
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ (1 << (at % 8));
          segments[part] = bytes.toString('base64url');
          await assert.rejects(decrypter.decrypt(segments.join('.'), POLICY), FAILURE);
        }),
        { numRuns: 60 },
      );
      await assert.rejects(stranger.decrypt(token, POLICY), FAILURE);
    });

    it(`is decrypted under the policy alone: ${alg}, ${enc}`, async () => {
      const token = (await createJweEncrypter(decrypter.jwk, alg, enc)).encrypt(JWS);
      const others = {
        algs: JWE_ALGORITHMS.filter((other) => other !== alg),
        encs: JWE_ENCRYPTIONS.filter((other) => other !== enc),
      };
      await assert.rejects(decrypter.decrypt(token, { algs: JWE_ALGORITHMS, encs: others.encs }), FAILURE);
      await assert.rejects(decrypter.decrypt(token, { algs: others.algs, encs: JWE_ENCRYPTIONS }), FAILURE);
      await assert.rejects(decrypter.decrypt(token, { algs: [], encs: JWE_ENCRYPTIONS }), FAILURE);
      await assert.rejects(decrypter.decrypt(token, { algs: JWE_ALGORITHMS, encs: [] }), FAILURE);
    });

    it(`has one spelling: an encrypted key without its leading zero is refused: ${alg}, ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, alg, enc);
      const createKey = async (): Promise<{ segments: string[]; key: Buffer }> => {
        const segments = encrypter.encrypt(JWS).split('.');
        return { segments, key: Buffer.from(segments[1] ?? '', 'base64url') };
      };
      let { segments, key } = await createKey();
      while (key[0] !== 0) ({ segments, key } = await createKey());
      assert.equal(await decrypter.decrypt(segments.join('.'), POLICY), JWS);
      const shorter = segments.with(1, key.subarray(1).toString('base64url')).join('.');
      await assert.rejects(decrypter.decrypt(shorter, POLICY), FAILURE);
    });
  }

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
    const unknown = ['RSA1_5 ', 'rsa1_5', 'RSA-OAEP-256', 'dir', '__proto__', 'constructor', ['RSA1_5'], 1, null].map(
      (alg) => `${header({ alg, enc: 'A128GCM' })}.${junk}.${junk}.${junk}.${junk}`,
    );
    const tokens = [
      ...unknown,
      direct,
      `${header({ alg: 'none', enc: 'none' })}.${junk}.${junk}.${junk}.${junk}`,
      JWS,
      '....',
      '',
    ];
    for (const token of tokens) await assert.rejects(decrypter.decrypt(token, POLICY), FAILURE, token);
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
