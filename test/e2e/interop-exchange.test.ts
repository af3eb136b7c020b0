import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { JWE_ENCRYPTIONS, JWS_ALGORITHM_NAMES } from '../../src/jose/algorithms.ts';
import type { RsaPublicJwk } from '../../src/jose/jwk.ts';
import { createClaims, createRsaPair } from '../support/assertions.ts';
import { type AppUnderTest, type IdproxyUnderTest, startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { ENCRYPTERS, SIGNERS } from '../support/implementations.ts';

const toHeader = (token: string): unknown => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());

describe('what other implementations make is exchanged', () => {
  let idproxy: IdproxyUnderTest;
  let platformKey: RsaPublicJwk & { readonly kid: string };

  before(async () => {
    idproxy = await startIdproxyUnderTest();
    const { body } = await idproxy.request('/.well-known/jwks.json');
    [platformKey] = (body as { keys: [typeof platformKey] }).keys;
  });
  after(() => idproxy.close());

  const assertGranted = async (assertion: string): Promise<void> => {
    const granted = await idproxy.authorize(assertion);
    assert.equal(granted.status, 200, JSON.stringify(granted.body));
    const { access_token: bearer } = granted.body as { access_token: string };
    const user = await idproxy.request('/api/1.1/userinfo', { headers: { authorization: `Bearer ${bearer}` } });
    assert.equal((user.body as { sub: string }).sub, 'zoë@example.com');
    assert.equal((await idproxy.authorize(assertion)).status, 401, 'it is used up');
  };
  const toClaims = ({ clientId }: AppUnderTest) =>
    createClaims(clientId, idproxy.clock.nowSeconds(), { sub: 'zoë@example.com' });

  for (const alg of JWS_ALGORITHM_NAMES) {
    for (const [name, signer] of Object.entries(SIGNERS)) {
      it(`${alg}, signed by ${name}`, async () => {
        const app = await idproxy.register({ algorithm: alg, enforceJti: true });
        const foreignKey = alg.startsWith('HS') ? `${app.key}x` : createRsaPair().privateKey;
        const forged = await signer.sign({ alg, key: foreignKey, claims: toClaims(app) });
        assert.equal((await idproxy.authorize(forged)).status, 401, 'signed under another key');
        await assertGranted(await signer.sign({ alg, key: app.key, claims: toClaims(app) }));
      });
    }
  }

  for (const enc of JWE_ENCRYPTIONS) {
    for (const [name, encrypter] of Object.entries(ENCRYPTERS)) {
      const signer = SIGNERS[name];
      assert.ok(signer);
      for (const alg of JWS_ALGORITHM_NAMES) {
        it(`RSA-OAEP with ${enc} around ${alg}, made by ${name}`, async () => {
          const app = await idproxy.register({ algorithm: alg, enforceJti: true, jwe: { required: true } });
          const jws = await signer.sign({ alg, key: app.key, claims: toClaims(app) });
          assert.equal((await idproxy.authorize(jws)).status, 401, 'not encrypted');
          const jwe = await encrypter.encrypt(jws, platformKey, enc);
          assert.deepEqual(toHeader(jwe), { alg: 'RSA-OAEP', enc, kid: platformKey.kid, cty: 'JWT' });
          await assertGranted(jwe);
        });
      }
    }
  }
});
