import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';
import { calculateJwkThumbprint, compactVerify, EmbeddedJWK, exportJWK, generateKeyPair, SignJWT } from 'jose';

import { DPOP_ALGORITHM_NAMES, MAX_DPOP_PROOF_BYTES, verifyDpopProof } from '../../../src/jose/dpop-proof.ts';
import { TokenError } from '../../../src/jose/token-error.ts';
import { createProofKey, toAth } from '../../support/dpop.ts';

const NOW = 1_767_225_600;
const KINDS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'RS256', 'PS256'] as const;
const HEADER =
  'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19';

/** RFC 9449 §4.2, §7.1: the two proofs, and the thumbprint of their key (§6.1). */
const VECTORS = {
  'the proof of a token request': {
    proof: `${HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`,
    says: {
      jti: '-BwC3ESc6acc2lTc',
      htm: 'POST',
      htu: 'https://server.example.com/token',
      issuedAt: 1_562_262_616,
    },
  },
  'the proof of a use': {
    proof: `${HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`,
    says: {
      jti: 'e1j3V_bKic8-LAEB',
      htm: 'GET',
      htu: 'https://resource.example.org/protectedresource',
      issuedAt: 1_562_262_618,
      ath: toAth('Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'),
    },
  },
};

/** Whether each segment is the one spelling of what it decodes to: jose takes others, too. */
const isCanonical = (text: string): boolean =>
  text.split('.').every((segment) => Buffer.from(segment, 'base64url').toString('base64url') === segment);

const isTaken = async (proof: string): Promise<boolean> => {
  try {
    await verifyDpopProof(proof);
    return true;
  } catch (error) {
    assert.ok(error instanceof TokenError, String(error));
    return false;
  }
};

describe('DPoP proofs', () => {
  for (const [name, { proof, says }] of Object.entries(VECTORS)) {
    test(`RFC 9449: ${name}`, async () => {
      const jkt = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I';
      assert.deepEqual(await verifyDpopProof(proof), { jkt, ...says });
    });
  }

  for (const alg of KINDS) {
    test(`${alg}: jose takes the same signatures, and no other`, async (t) => {
      const key = createProofKey(() => NOW, alg);
      const good = key.prove('POST', 'https://idproxy.example/oauth/token');
      assert.equal((await verifyDpopProof(good)).jkt, key.jkt);
      await compactVerify(good, EmbeddedJWK, { algorithms: [...DPOP_ALGORITHM_NAMES] });
      let taken = 0;
      const mutated = fc.tuple(
        fc.nat(good.length - 1),
        fc.constantFrom('A', 'Z', 'a', 'z', '0', '9', '-', '_', '.', '=', '+', '/', ' '),
      );
      await fc.assert(
        fc.asyncProperty(mutated, async ([at, char]) => {
          const text = good.slice(0, at) + char + good.slice(at + 1);
          const isOurs = await isTaken(text);
          const isTheirs = await compactVerify(text, EmbeddedJWK, { algorithms: [...DPOP_ALGORITHM_NAMES] }).then(
            () => true,
            () => false,
          );
          if (isOurs) {
            taken++;
            assert.equal(text, good, 'one spelling only');
          }
          assert.equal(isOurs, isTheirs && isCanonical(text), text);
        }),
        { numRuns: 200 },
      );
      t.diagnostic(`${taken} of 200 mutations were none`);
    });
  }

  for (const alg of DPOP_ALGORITHM_NAMES) {
    test(`${alg}: proofs that jose makes are taken with the thumbprint that jose says, and none that jose would not take`, async () => {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      const jwk = await exportJWK(publicKey);
      const other = await exportJWK((await generateKeyPair(alg, { extractable: true })).publicKey);
      const prove = (header: object = {}): Promise<string> =>
        new SignJWT({ htm: 'POST', htu: 'https://idproxy.example/oauth/token', jti: `of ${alg}` })
          .setProtectedHeader({ typ: 'dpop+jwt', alg, jwk, ...header })
          .setIssuedAt(NOW)
          .sign(privateKey);
      for (let count = 0; count < 8; count++) {
        // Signatures with randomness in them: each has another spelling, one in 256 a leading zero.
        assert.deepEqual(await verifyDpopProof(await prove()), {
          jkt: await calculateJwkThumbprint(jwk),
          jti: `of ${alg}`,
          htm: 'POST',
          htu: 'https://idproxy.example/oauth/token',
          issuedAt: NOW,
        });
      }
      const foreign = await prove({ jwk: other });
      await assert.rejects(compactVerify(foreign, EmbeddedJWK, { algorithms: [...DPOP_ALGORITHM_NAMES] }));
      assert.equal(await isTaken(foreign), false, 'by another key than the one that it names');
      const [header = '', payload = '', signature = ''] = (await prove()).split('.');
      for (const text of [`${header}.${payload}.`, `${header}.${payload}.${signature.slice(0, -4)}`]) {
        await assert.rejects(compactVerify(text, EmbeddedJWK, { algorithms: [...DPOP_ALGORITHM_NAMES] }));
        assert.equal(await isTaken(text), false);
      }
    });
  }

  test('whatever the header says, what is refused is refused with one kind of error', async () => {
    const key = createProofKey(() => NOW);
    const value = fc.oneof(fc.json(), fc.constantFrom('ES256', 'none', 'RS256', 'dpop+jwt', 'constructor'));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('typ', 'alg', 'jwk', 'kid', 'crit', 'b64', 'jku', 'x5c'), value),
        fc.dictionary(fc.constantFrom('jti', 'htm', 'htu', 'iat', 'ath'), fc.oneof(value, fc.double())),
        async (header, claims) => {
          await isTaken(key.prove('POST', 'https://x.example/', claims, header));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('the limit of its size is a limit', async () => {
    const key = createProofKey(() => NOW);
    const pad = (length: number): string => key.prove('POST', 'https://x.example/', { pad: 'x'.repeat(length) });
    const room = MAX_DPOP_PROOF_BYTES - pad(0).length;
    const fitting = pad(Math.floor((room * 3) / 4) - 3);
    assert.ok(fitting.length <= MAX_DPOP_PROOF_BYTES && fitting.length > MAX_DPOP_PROOF_BYTES - 16);
    assert.ok(await isTaken(fitting));
    await assert.rejects(verifyDpopProof(pad(Math.ceil((room * 3) / 4) + 3)), /is larger than/);
  });
});
