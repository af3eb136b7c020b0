import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { describe, it } from 'node:test';

import { Secret } from '../../src/core/secret.ts';
import { JWE_ENCRYPTIONS, JWS_ALGORITHM_NAMES, type JwsAlgorithm } from '../../src/jose/algorithms.ts';
import { toPublicJwk } from '../../src/jose/jwk.ts';
import { AUDIENCE, CLIENT_ID, readJwt, startIssuer } from '../http/issuer/issuer-under-test.ts';
import { createRsaPair, type Json } from '../support/assertions.ts';
import { ENCRYPTERS, SIGNERS } from '../support/implementations.ts';

const SECRET = 'Vn3+ZkQ1mD7c0xJ8sYpL2uWb5tRg9aHf4eCiKoN6vXqTzB1yMlUdS0rEjAwGhP8I';
const OTHER_SECRET = SECRET.toLowerCase();

const CLIENT_PAIR = createRsaPair();
const OTHER_PAIR = createRsaPair();
const PLATFORM_PAIR = createRsaPair();
const PLATFORM_JWK = { ...toPublicJwk(createPublicKey(PLATFORM_PAIR.publicKey)), kid: 'k-platform' };

/** What the issuer signs with, what verifies it, and what must not. */
function toKeys(alg: JwsAlgorithm) {
  return alg.startsWith('HS')
    ? { signing: SECRET, verifying: SECRET, wrong: OTHER_SECRET }
    : { signing: CLIENT_PAIR.privateKey, verifying: CLIENT_PAIR.publicKey, wrong: OTHER_PAIR.publicKey };
}

function assertMinted(claims: Json | undefined): void {
  assert.ok(claims, 'the signature holds');
  const { iat, exp, jti, ...rest } = claims;
  assert.deepEqual(rest, { aud: AUDIENCE, iss: CLIENT_ID, sub: 'zoë@example.com', isAnonymous: false });
  assert.equal(Number(exp) - Number(iat), 300);
  assert.equal(typeof jti, 'string');
}

describe('what the issuer mints is taken by other implementations', () => {
  for (const alg of JWS_ALGORITHM_NAMES) {
    const { signing, verifying, wrong } = toKeys(alg);
    for (const [name, { verify }] of Object.entries(SIGNERS)) {
      it(`${alg}, verified by ${name}`, async (t) => {
        const issuer = await startIssuer(t, { algorithm: alg, key: new Secret(signing) });
        const token = readJwt(await issuer.ask({ identity: 'zoë@example.com' }));
        assertMinted(await verify({ alg, key: verifying, token, audience: AUDIENCE }));
        assert.equal(await verify({ alg, key: wrong, token, audience: AUDIENCE }), undefined, 'under another key');
      });
    }
  }

  for (const enc of JWE_ENCRYPTIONS) {
    for (const [name, { decrypt }] of Object.entries(ENCRYPTERS)) {
      it(`RSA-OAEP with ${enc}, decrypted and verified by ${name}`, async (t) => {
        const { signing, verifying } = toKeys('RS256');
        const issuer = await startIssuer(t, {
          algorithm: 'RS256',
          key: new Secret(signing),
          jwe: { jwk: PLATFORM_JWK, alg: 'RSA-OAEP', enc },
        });
        const jwe = readJwt(await issuer.ask({ identity: 'zoë@example.com' }));
        const token = await decrypt(jwe, PLATFORM_PAIR.privateKey);
        assert.equal(token.split('.').length, 3);
        assertMinted(await SIGNERS[name]?.verify({ alg: 'RS256', key: verifying, token, audience: AUDIENCE }));
        await assert.rejects(decrypt(jwe, OTHER_PAIR.privateKey), 'for another key');
      });
    }
  }
});
