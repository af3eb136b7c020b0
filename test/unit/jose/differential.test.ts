import assert from 'node:assert/strict';
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { before, describe, it } from 'node:test';

import * as fc from 'fast-check';
import { compactDecrypt, compactVerify, type CryptoKey, importPKCS8, importSPKI } from 'jose';
import nodeJose from 'node-jose';

import type { JsonObject } from '../../../src/core/json.ts';
import {
  JWE_ALGORITHMS,
  JWE_ENCRYPTIONS,
  JWS_ALGORITHM_NAMES,
  JWS_ALGORITHMS,
  type JwsAlgorithm,
} from '../../../src/jose/algorithms.ts';
import { parseCompact } from '../../../src/jose/compact.ts';
import { createJweDecrypter, createJweEncrypter, type JweDecrypter } from '../../../src/jose/jwe.ts';
import { createRsaPrivateKeyPem } from '../../../src/jose/jwk.ts';
import { createJwsSigner, createJwsVerifier, type JwsVerifier } from '../../../src/jose/jws.ts';
import { unwrapRsa15 } from '../../../src/jose/rsa15.ts';
import { TokenError } from '../../../src/jose/token-error.ts';
import { decryptRsa15WithJwcrypto, encryptRsa15WithJwcrypto } from '../../support/rsa15-with-jwcrypto.ts';
import { decryptByTheBook } from './textbook-rsa15.ts';

/** Every JOSE operation against a second implementation: node-jose, jwcrypto, and RFC 8017 by the book where it ends. */

const anyClaims = fc
  .dictionary(fc.string({ unit: 'binary', maxLength: 20 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 6 })
  .map((claims) => JSON.parse(JSON.stringify(claims)) as JsonObject);

/** A change to the bytes of one part of a token, which is serialized again as it should be. */
const anyChange = fc.record({
  part: fc.nat({ max: 4 }),
  kind: fc.constantFrom('none', 'flip', 'cut', 'cutFront', 'extend', 'extendFront', 'zeros', 'empty', 'swap'),
  at: fc.nat(),
});

const CHANGES: Readonly<Record<string, (bytes: Buffer, at: number) => Buffer>> = {
  none: (bytes) => bytes,
  flip: (bytes, at) => {
    if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(at % bytes.length) ^ (1 << (at % 8)), at % bytes.length);
    return bytes;
  },
  cut: (bytes) => bytes.subarray(0, -1),
  cutFront: (bytes) => bytes.subarray(1),
  extend: (bytes) => Buffer.concat([bytes, Buffer.from([0])]),
  extendFront: (bytes) => Buffer.concat([Buffer.from([0]), bytes]),
  zeros: (bytes) => Buffer.alloc(bytes.length),
  empty: () => Buffer.alloc(0),
  swap: (bytes) => Buffer.from(bytes.toReversed()),
};

interface Change {
  readonly part: number;
  readonly kind: string;
  readonly at: number;
}

function change(token: string, { part, kind, at }: Change): string {
  const segments = token.split('.');
  const index = part % segments.length;
  const bytes = CHANGES[kind]?.(Buffer.from(segments[index] ?? '', 'base64url'), at) ?? assert.fail(kind);
  return segments.with(index, bytes.toString('base64url')).join('.');
}

/** A change to the text of a token: one character is taken away, put in, or replaced by another. */
const anyTextChange = fc.record({
  at: fc.nat(),
  taken: fc.nat({ max: 1 }),
  put: fc.constantFrom('', 'A', 'z', '0', '-', '_', '.', '=', '+', '/', ' ', '\n', 'é'),
});

/** Whether each part is base64url in its one spelling: node-jose reads many. */
const isCanonical = (token: string): boolean =>
  token.split('.').every((segment) => Buffer.from(segment, 'base64url').toString('base64url') === segment);

/** Whether it neither throws nor rejects: node-jose does either. */
const succeeds = (act: () => Promise<unknown>): Promise<boolean> =>
  act().then(
    () => true,
    () => false,
  );

async function isAccepted(verifier: JwsVerifier, text: string): Promise<boolean> {
  try {
    const token = parseCompact(text);
    return token.kind === 'jws' && (await verifier.verify(token));
  } catch (error) {
    if (error instanceof TokenError) return false;
    throw error;
  }
}

describe('signatures against other implementations', () => {
  const secret = randomBytes(64).toString('base64');
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const isHmac = (alg: JwsAlgorithm): boolean => JWS_ALGORITHMS[alg].keyType === 'secret';
  const toTheirKey = (alg: JwsAlgorithm): Promise<nodeJose.JWK.Key> =>
    isHmac(alg)
      ? nodeJose.JWK.asKey({ kty: 'oct', k: Buffer.from(secret).toString('base64url'), alg })
      : nodeJose.JWK.asKey(pair.privateKey, 'pem', { alg });

  for (const alg of JWS_ALGORITHM_NAMES) {
    // Ours verifies on node:crypto; jose, on WebCrypto, is its judge.
    const isAcceptedThere = (text: string): Promise<boolean> =>
      succeeds(async () => {
        const key = isHmac(alg) ? Buffer.from(secret) : await importSPKI(pair.publicKey, alg);
        return compactVerify(text, key, { algorithms: [alg] });
      });
    const signThere = async (claims: JsonObject): Promise<string> => {
      const options = { format: 'compact', fields: { typ: 'JWT' } } as const;
      const content = Buffer.from(JSON.stringify(claims));
      const signed: unknown = await nodeJose.JWS.createSign(options, await toTheirKey(alg))
        .update(content)
        .final();
      return String(signed);
    };
    const createOurs = async () => ({
      signer: await createJwsSigner(alg, isHmac(alg) ? secret : pair.privateKey),
      verifier: await createJwsVerifier(alg, isHmac(alg) ? secret : pair.publicKey),
    });

    it(`what either signs, both accept, claims and all: ${alg}`, async () => {
      const { signer, verifier } = await createOurs();
      await fc.assert(
        fc.asyncProperty(anyClaims, async (claims) => {
          const [ours, theirs] = [await signer.sign(claims), await signThere(claims)];
          for (const token of [ours, theirs]) {
            assert.deepEqual([await isAccepted(verifier, token), await isAcceptedThere(token)], [true, true]);
          }
          const { payload } = await nodeJose.JWS.createVerify(await toTheirKey(alg)).verify(ours);
          assert.deepEqual(JSON.parse(payload.toString()), claims);
          const parsed = parseCompact(theirs);
          assert.ok(parsed.kind === 'jws');
          assert.deepEqual({ ...parsed.payload }, claims);
        }),
        { numRuns: 60 },
      );
    });

    it(`what changed in its bytes, both refuse, and both accept what did not: ${alg}`, async () => {
      const { signer, verifier } = await createOurs();
      await fc.assert(
        fc.asyncProperty(anyClaims, anyChange, fc.boolean(), async (claims, how, isOurs) => {
          const token = isOurs ? await signer.sign(claims) : await signThere(claims);
          const changed = change(token, how);
          const isAcceptedHere = await isAccepted(verifier, changed);
          assert.equal(isAcceptedHere, await isAcceptedThere(changed));
          assert.equal(isAcceptedHere, changed === token);
        }),
        { numRuns: 150 },
      );
    });

    it(`what changed in its text, we never accept where they refuse, and refuse besides only other spellings: ${alg}`, async () => {
      const { signer, verifier } = await createOurs();
      await fc.assert(
        fc.asyncProperty(anyClaims, anyTextChange, async (claims, { at, taken, put }) => {
          const token = await signer.sign(claims);
          const start = at % token.length;
          const changed = token.slice(0, start) + put + token.slice(start + taken);
          const [isAcceptedHere, areThey] = [await isAccepted(verifier, changed), await isAcceptedThere(changed)];
          assert.equal(isAcceptedHere, areThey && isCanonical(changed), changed);
        }),
        { numRuns: 150 },
      );
    });
  }
});

describe('encryption against other implementations', () => {
  const CONTENT = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  const POLICY = { algs: JWE_ALGORITHMS, encs: JWE_ENCRYPTIONS };
  let pem: string;
  let decrypter: JweDecrypter;
  let theirKey: nodeJose.JWK.Key;
  let joseKey: CryptoKey;

  before(async () => {
    pem = await createRsaPrivateKeyPem();
    decrypter = await createJweDecrypter('k-1', pem);
    theirKey = await nodeJose.JWK.createKeyStore().add(pem, 'pem', { kid: 'k-1' });
    joseKey = await importPKCS8(pem, 'RSA-OAEP');
  });

  const open = (token: string): Promise<string | undefined> => decrypter.decrypt(token, POLICY).catch(() => undefined);
  /** jose knows RSA-OAEP, and does all of it on WebCrypto. */
  const openThere = async (token: string): Promise<string | undefined> => {
    try {
      return Buffer.from((await compactDecrypt(token, joseKey)).plaintext).toString('latin1');
    } catch {
      return undefined;
    }
  };

  for (const enc of JWE_ENCRYPTIONS) {
    for (const alg of JWE_ALGORITHMS) {
      it(`node-jose encrypts any bytes, we decrypt: ${alg}, ${enc}`, async () => {
        const options = { format: 'compact', contentAlg: enc, fields: { alg, typ: 'JWT', cty: 'JWT' } } as const;
        await fc.assert(
          fc.asyncProperty(CONTENT, async (content) => {
            const token: string = await nodeJose.JWE.createEncrypt(options, theirKey).update(content).final();
            assert.equal(await decrypter.decrypt(token, POLICY), content.toString('latin1'));
          }),
          { numRuns: 40 },
        );
      });
    }

    it(`we encrypt any text, node-jose decrypts: RSA-OAEP, ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', enc);
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (text) => {
          const { plaintext } = await nodeJose.JWE.createDecrypt(theirKey).decrypt(encrypter.encrypt(text));
          assert.deepEqual(plaintext, Buffer.from(text));
          assert.equal(await openThere(encrypter.encrypt(text)), Buffer.from(text).toString('latin1'));
        }),
        { numRuns: 40 },
      );
    });

    it(`what changed in its bytes, we decrypt where jose does: RSA-OAEP, ${enc}`, async () => {
      const encrypter = await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', enc);
      await fc.assert(
        fc.asyncProperty(CONTENT, anyChange, async (content, how) => {
          const token = encrypter.encrypt(content.toString('hex'));
          const changed = change(token, how);
          const ours = await open(changed);
          assert.equal(ours, await openThere(changed));
          assert.equal(ours !== undefined, changed === token);
        }),
        { numRuns: 80 },
      );
    });

    it(`jwcrypto decrypts what we encrypt, and we what it encrypts: RSA1_5, ${enc}`, async () => {
      const text = 'zoë · 漢字 · 🦊 · '.repeat(20);
      const ours = (await createJweEncrypter(decrypter.jwk, 'RSA1_5', enc)).encrypt(text);
      assert.equal(decryptRsa15WithJwcrypto(ours, pem, enc), text);
      const theirs = encryptRsa15WithJwcrypto(text, decrypter.jwk, enc);
      assert.equal(Buffer.from(await decrypter.decrypt(theirs, POLICY), 'latin1').toString(), text);
    });
  }
});

describe('RSA1_5 by the book', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const size = 256;

  /** Blocks that are nearly good: each part may be off, and the delimiter anywhere. */
  const anyBlock = fc
    .record({
      first: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
      second: fc.constantFrom(2, 2, 2, 2, 2, 2, 1, 3),
      contentBytes: fc.oneof(
        { weight: 5, arbitrary: fc.constant(16) },
        { weight: 1, arbitrary: fc.nat({ max: size - 3 }) },
      ),
      zeroAt: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: size - 1 }) }),
      seed: fc.uint8Array({ minLength: size, maxLength: size }),
    })
    .map(({ first, second, contentBytes, zeroAt, seed }) => {
      const block = Buffer.from(seed.map((byte) => byte || 1));
      block.set([first, second]);
      block.writeUInt8(0, size - contentBytes - 1);
      if (zeroAt > 0) block.writeUInt8(0, zeroAt);
      return block;
    });

  it('a content key comes out where the book has one of that length, and a random one where not', () => {
    const seen = { good: 0, bad: 0 };
    fc.assert(
      fc.property(anyBlock, fc.constantFrom(16, 16, 16, 32), (block, keyBytes) => {
        const padding = constants.RSA_NO_PADDING;
        const encryptedKey = publicEncrypt({ key: publicKey, padding }, block);
        const expected = decryptByTheBook(privateKey, encryptedKey);
        const [ours, again] = [0, 1].map(() => Buffer.from(unwrapRsa15(privateKey, encryptedKey, keyBytes)));
        assert.ok(ours && again);
        assert.equal(ours.length, keyBytes);
        const isGood = expected?.length === keyBytes;
        seen[isGood ? 'good' : 'bad'] += 1;
        if (isGood) assert.deepEqual([ours, again], [expected, expected]);
        else assert.notDeepEqual(ours, again);
      }),
      { numRuns: 150 },
    );
    assert.ok(seen.good > 5 && seen.bad > 5, JSON.stringify(seen));
  });

  it('the book and OpenSSL agree on what is encrypted', () => {
    const key = randomBytes(32);
    assert.deepEqual(
      decryptByTheBook(privateKey, publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key)),
      key,
    );
    assert.equal(
      createPublicKey(createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))).equals(publicKey),
      true,
    );
  });
});
