import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeJwt } from 'jose';

import { createMinter, type MinterDeps } from '../../../src/issuer/mint.ts';
import { createJweDecrypter, createJweEncrypter } from '../../../src/jose/jwe.ts';
import { createRsaPrivateKeyPem } from '../../../src/jose/jwk.ts';
import { createJwsSigner } from '../../../src/jose/jws.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const ALICE = { identity: 'alice', isAnonymous: false };

async function createDeps(): Promise<MinterDeps> {
  const signer = await createJwsSigner('HS256', 'c4XxWvHk3m0pQ9rTz7Lb2NfGs8YdJ1AeUo6IqKt5Bn0=');
  return {
    clientId: 'cs-1',
    tokenLifetimeSeconds: 300,
    koreClaims: false,
    claimsName: 'privateClaims',
    clock: createFakeClock(1_800_000_000.999),
    signer,
  };
}

describe('createMinter', () => {
  it('sets these claims, in whole seconds', async () => {
    const { jti, ...claims } = decodeJwt(await createMinter(await createDeps())(ALICE, 'aud'));
    assert.deepEqual(claims, {
      iat: 1_800_000_000,
      exp: 1_800_000_300,
      aud: 'aud',
      iss: 'cs-1',
      sub: 'alice',
      isAnonymous: false,
    });
    assert.match(jti ?? '', /^[\da-f-]{36}$/);
  });

  it('sets the kore_ claims of the same values besides', async () => {
    const mint = createMinter({ ...(await createDeps()), koreClaims: true });
    const claims = decodeJwt(await mint({ ...ALICE, isAnonymous: true }, 'aud'));
    assert.deepEqual(
      [claims['kore_jti'], claims['kore_iss'], claims['kore_sub']],
      [claims.jti, claims.iss, claims.sub],
    );
    assert.equal(claims['isAnonymous'], true);
  });

  it('signs for the whole seconds that have begun', async () => {
    const clock = createFakeClock(1_800_000_000);
    const mint = createMinter({ ...(await createDeps()), clock });
    for (const [now, iat] of [
      [1_800_000_000, 1_800_000_000],
      [1_800_000_000.001, 1_800_000_000],
      [1_800_000_001.5, 1_800_000_001],
    ] as const) {
      clock.set(now);
      assert.equal(decodeJwt(await mint(ALICE, 'aud')).iat, iat);
    }
  });

  it('lets private claims into what is encrypted and nothing else', async () => {
    const deps = await createDeps();
    const privateClaims = { plan: 'gold' };
    assert.ok(!('privateClaims' in decodeJwt(await createMinter(deps)(ALICE, 'aud', privateClaims))));
    const decrypter = await createJweDecrypter('k-1', await createRsaPrivateKeyPem());
    const encrypter = await createJweEncrypter(decrypter.jwk, 'RSA-OAEP', 'A256GCM');
    for (const claimsName of ['privateClaims', 'secureCustomData'] as const) {
      const token = await createMinter({ ...deps, encrypter, claimsName })(ALICE, 'aud', privateClaims);
      const claims = decodeJwt(await decrypter.decrypt(token, { algs: ['RSA-OAEP'], encs: ['A256GCM'] }));
      assert.deepEqual(claims[claimsName], privateClaims);
    }
  });
});
