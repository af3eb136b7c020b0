import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';

import * as fc from 'fast-check';
import { CompactSign, compactVerify, type CryptoKey, importPKCS8, importSPKI } from 'jose';
import jsonwebtoken from 'jsonwebtoken';

import type { JsonObject } from '../../../src/core/json.ts';
import { JWS_ALGORITHM_NAMES, JWS_ALGORITHMS, type JwsAlgorithm } from '../../../src/jose/algorithms.ts';
import { type CompactJws, parseCompact } from '../../../src/jose/compact.ts';
import { createRsaPrivateKeyPem, KeyError } from '../../../src/jose/jwk.ts';
import { createJwsSigner, createJwsVerifier, parseClientSecret } from '../../../src/jose/jws.ts';

const HMACS = JWS_ALGORITHM_NAMES.filter((alg) => JWS_ALGORITHMS[alg].keyType === 'secret');
const RSAS = JWS_ALGORITHM_NAMES.filter((alg) => JWS_ALGORITHMS[alg].keyType === 'rsa');

/** Claims as anyone might send them: any JSON, any character, lone surrogates left out since JSON cannot carry them in UTF-8. */
const anyClaims = fc
  .dictionary(fc.string({ unit: 'binary', maxLength: 20 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 8 })
  .map((claims) => JSON.parse(JSON.stringify(claims)) as JsonObject);

/** Secrets that are taken, any character. */
const anySecret = fc.string({ unit: 'binary', minLength: 32, maxLength: 120 }).filter(isSecret);

function isSecret(text: string): boolean {
  try {
    return parseClientSecret(text).type === 'secret';
  } catch {
    return false;
  }
}

function parseJws(text: string): CompactJws {
  const token = parseCompact(text);
  assert.ok(token.kind === 'jws');
  return token;
}

/** The token with one bit of one of its bytes turned over, or none where that does not leave base64url. */
function flip(token: CompactJws, at: number): CompactJws {
  const signature = Buffer.from(token.signature);
  const index = at % signature.length;
  signature[index] = (signature[index] ?? 0) ^ (1 << (at % 8));
  return { ...token, signature, text: `${token.signingInput}.${signature.toString('base64url')}` };
}

describe('HMAC on node:crypto', () => {
  for (const alg of HMACS) {
    it(`signs what jose verifies: ${alg}`, async () => {
      await fc.assert(
        fc.asyncProperty(anySecret, anyClaims, async (secret, claims) => {
          const token = await (await createJwsSigner(alg, secret)).sign(claims);
          const { payload, protectedHeader } = await compactVerify(token, Buffer.from(secret), { algorithms: [alg] });
          assert.deepEqual(protectedHeader, { alg, typ: 'JWT' });
          assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), claims);
        }),
        { numRuns: 150 },
      );
    });

    it(`signs the very bytes that jose signs: ${alg}`, async () => {
      await fc.assert(
        fc.asyncProperty(anySecret, anyClaims, async (secret, claims) => {
          const reference = new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader({
            alg,
            typ: 'JWT',
          });
          assert.equal(
            await (await createJwsSigner(alg, secret)).sign(claims),
            await reference.sign(Buffer.from(secret)),
          );
        }),
        { numRuns: 150 },
      );
    });

    it(`verifies what jose signs, and nothing that is one bit off: ${alg}`, async () => {
      await fc.assert(
        fc.asyncProperty(anySecret, anyClaims, fc.nat(), async (secret, claims, at) => {
          const text = await new CompactSign(Buffer.from(JSON.stringify(claims)))
            .setProtectedHeader({ alg, kid: 'any', fName: 'Zoë' })
            .sign(Buffer.from(secret));
          const verifier = await createJwsVerifier(alg, secret);
          const token = parseJws(text);
          assert.equal(await verifier.verify(token), true);
          assert.equal(await verifier.verify(flip(token, at)), false);
          assert.equal(await verifier.verify({ ...token, signingInput: `${token.signingInput}A` }), false);
          assert.equal(await verifier.verify({ ...token, signature: token.signature.subarray(0, -1) }), false);
          assert.equal(await verifier.verify({ ...token, signature: Buffer.alloc(0) }), false);
          assert.equal(await (await createJwsVerifier(alg, `${secret}x`)).verify(token), false);
        }),
        { numRuns: 150 },
      );
    });
  }

  it('takes a token for what its header says: the right MAC under the wrong name is refused', async () => {
    const secret = randomBytes(64).toString('base64');
    for (const [alg, hash] of [
      ['HS256', 'sha256'],
      ['HS512', 'sha512'],
    ] as const) {
      const verifier = await createJwsVerifier(alg, secret);
      for (const named of [alg, 'HS384', 'none', alg.toLowerCase(), undefined]) {
        const input = [{ alg: named }, { sub: 'alice' }]
          .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
          .join('.');
        const token = parseJws(`${input}.${createHmac(hash, secret).update(input).digest('base64url')}`);
        assert.equal(await verifier.verify(token), named === alg, `${alg} named ${named}`);
      }
    }
  });

  it('agrees with jsonwebtoken', async () => {
    for (const alg of HMACS) {
      const secret = randomBytes(64).toString('base64');
      const ours = await (await createJwsSigner(alg, secret)).sign({ sub: 'Zoë' });
      assert.deepEqual(jsonwebtoken.verify(ours, secret, { algorithms: [alg] }), { sub: 'Zoë' });
      const theirs = jsonwebtoken.sign({ sub: 'Zoë' }, secret, { algorithm: alg, noTimestamp: true });
      assert.equal(await (await createJwsVerifier(alg, secret)).verify(parseJws(theirs)), true);
    }
  });
});

describe('RSA', () => {
  let pem: string;
  let publicPem: string;
  let otherPem: string;
  const keys = new Map<JwsAlgorithm, { sign: CryptoKey; verify: CryptoKey }>();

  before(async () => {
    [pem, otherPem] = await Promise.all([createRsaPrivateKeyPem(), createRsaPrivateKeyPem()]);
    publicPem = createPublicKey(pem).export({ type: 'spki', format: 'pem' }) as string;
    for (const alg of RSAS)
      keys.set(alg, { sign: await importPKCS8(pem, alg), verify: await importSPKI(publicPem, alg) });
  });

  for (const alg of RSAS) {
    it(`signs what jose verifies, verifies what jose signs, and nothing that is one bit off: ${alg}`, async () => {
      const { sign, verify } = keys.get(alg) ?? assert.fail();
      const signer = await createJwsSigner(alg, pem);
      const verifier = await createJwsVerifier(alg, publicPem);
      await fc.assert(
        fc.asyncProperty(anyClaims, fc.nat(), async (claims, at) => {
          const ours = await signer.sign(claims);
          const { payload, protectedHeader } = await compactVerify(ours, verify, { algorithms: [alg] });
          assert.deepEqual(protectedHeader, { alg, typ: 'JWT' });
          assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), claims);
          const text = await new CompactSign(Buffer.from(JSON.stringify(claims)))
            .setProtectedHeader({ alg, kid: 'any' })
            .sign(sign);
          const token = parseJws(text);
          assert.equal(await verifier.verify(token), true);
          assert.equal(await verifier.verify(flip(token, at)), false);
        }),
        { numRuns: 40 },
      );
    });

    it(`does not verify with another key: ${alg}`, async () => {
      const token = parseJws(await (await createJwsSigner(alg, otherPem)).sign({ sub: 'alice' }));
      assert.equal(await (await createJwsVerifier(alg, publicPem)).verify(token), false);
    });

    it(`takes keys in each usual form: ${alg}`, async () => {
      const privateKey = createPrivateKey(pem);
      const pkcs1 = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
      const publicPkcs1 = createPublicKey(pem).export({ type: 'pkcs1', format: 'pem' }) as string;
      const token = parseJws(await (await createJwsSigner(alg, pkcs1)).sign({ sub: 'alice' }));
      assert.equal(await (await createJwsVerifier(alg, publicPkcs1)).verify(token), true);
    });
  }

  it('is pinned: a token of each algorithm against a verifier of each', async () => {
    const secret = randomBytes(64).toString('base64');
    const isSecret = (alg: JwsAlgorithm): boolean => JWS_ALGORITHMS[alg].keyType === 'secret';
    for (const signed of JWS_ALGORITHM_NAMES) {
      const token = parseJws(
        await (await createJwsSigner(signed, isSecret(signed) ? secret : pem)).sign({ sub: 'alice' }),
      );
      for (const pinned of JWS_ALGORITHM_NAMES) {
        const verifier = await createJwsVerifier(pinned, isSecret(pinned) ? secret : publicPem);
        assert.equal(await verifier.verify(token), signed === pinned, `${signed} against ${pinned}`);
      }
    }
  });

  it('never lets a header choose: alg none, or an HMAC under the public key', async () => {
    const payload = Buffer.from('{"sub":"alice"}').toString('base64url');
    const none = parseJws(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`);
    const confused = parseJws(
      await new CompactSign(Buffer.from('{"sub":"alice"}'))
        .setProtectedHeader({ alg: 'HS256' })
        .sign(Buffer.from(publicPem)),
    );
    for (const alg of RSAS) {
      const verifier = await createJwsVerifier(alg, publicPem);
      assert.equal(await verifier.verify(none), false);
      assert.equal(await verifier.verify(confused), false);
    }
    for (const alg of HMACS) {
      const verifier = await createJwsVerifier(alg, randomBytes(64).toString('base64'));
      assert.equal(await verifier.verify(none), false);
      await assert.rejects(createJwsVerifier(alg, publicPem), KeyError, 'a public key is no secret');
    }
  });
});
