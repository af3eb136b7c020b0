import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { before, describe, it } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';
import jose from 'node-jose';

import { createToken } from '../../../src/core/ids.ts';
import { Secret } from '../../../src/core/secret.ts';
import { JWE_ENCRYPTIONS, JWS_ALGORITHM_NAMES } from '../../../src/jose/algorithms.ts';
import { createRsaPrivateKeyPem, KeyError, parseRsaPrivateKey, toPublicJwk } from '../../../src/jose/jwk.ts';
import { AUDIENCE, CLIENT_ID, readClaims, readJwt, startIssuer } from './issuer-under-test.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { decryptRsa15WithJwcrypto } from '../../support/rsa15-with-jwcrypto.ts';

const NOW = 1_800_000_000.75;

describe('what the issuer signs', () => {
  const secret = createToken(64);
  let pem: string;
  let platformPem: string;

  before(async () => {
    [pem, platformPem] = await Promise.all([createRsaPrivateKeyPem(), createRsaPrivateKeyPem()]);
  });

  for (const algorithm of JWS_ALGORITHM_NAMES) {
    it(`verifies elsewhere: ${algorithm}`, async (t) => {
      const isHmac = algorithm.startsWith('HS');
      const issuer = await startIssuer(t, { algorithm, key: new Secret(isHmac ? secret : pem) });
      const jwt = readJwt(await issuer.ask({ identity: 'alice' }));
      const key = isHmac ? secret : createPublicKey(pem);
      const { header, payload } = jsonwebtoken.verify(jwt, key, {
        algorithms: [algorithm],
        complete: true,
        audience: AUDIENCE,
        issuer: CLIENT_ID,
      });
      assert.deepEqual(header, { alg: algorithm, typ: 'JWT' });
      assert.equal(payload.sub, 'alice');
      const others = JWS_ALGORITHM_NAMES.filter((name) => name !== algorithm);
      assert.throws(() => jsonwebtoken.verify(jwt, key, { algorithms: others }));
    });

    for (const enc of JWE_ENCRYPTIONS) {
      it(`decrypts and verifies elsewhere: ${algorithm} in ${enc}`, async (t) => {
        const isHmac = algorithm.startsWith('HS');
        const jwk = { ...toPublicJwk(parseRsaPrivateKey(platformPem)), kid: 'k-platform' };
        const issuer = await startIssuer(t, {
          algorithm,
          key: new Secret(isHmac ? secret : pem),
          jwe: { jwk, alg: 'RSA-OAEP', enc },
        });
        const jwt = readJwt(await issuer.ask({ identity: 'alice' }));
        const key = await jose.JWK.createKeyStore().add(platformPem, 'pem', { kid: 'k-platform' });
        const { header, plaintext } = await jose.JWE.createDecrypt(key).decrypt(jwt);
        assert.deepEqual(header, { alg: 'RSA-OAEP', enc, kid: 'k-platform', typ: 'JWT', cty: 'JWT' });
        const claims = jsonwebtoken.verify(plaintext.toString(), isHmac ? secret : createPublicKey(pem), {
          algorithms: [algorithm],
        });
        assert.equal(claims.sub, 'alice');
      });
    }
  }

  for (const enc of JWE_ENCRYPTIONS) {
    it(`decrypts elsewhere under RSA1_5, by setting: ${enc}`, async (t) => {
      const jwk = { ...toPublicJwk(parseRsaPrivateKey(platformPem)), kid: 'k-platform' };
      const issuer = await startIssuer(t, { key: new Secret(secret), jwe: { jwk, alg: 'RSA1_5', enc } });
      const jwt = readJwt(await issuer.ask({ identity: 'alice' }));
      assert.deepEqual(JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()), {
        alg: 'RSA1_5',
        enc,
        kid: 'k-platform',
        typ: 'JWT',
        cty: 'JWT',
      });
      const inside = decryptRsa15WithJwcrypto(jwt, platformPem, enc);
      assert.equal(jsonwebtoken.verify(inside, secret, { algorithms: ['HS256'] }).sub, 'alice');
    });
  }

  it('has times in whole seconds and a new jti each time', async (t) => {
    const issuer = await startIssuer(t, { tokenLifetimeSeconds: 3_600 }, { clock: createFakeClock(NOW) });
    const read = async () =>
      jsonwebtoken.verify(readJwt(await issuer.ask({ identity: 'alice' })), issuer.secret, {
        clockTimestamp: NOW,
      }) as jsonwebtoken.JwtPayload;
    const claims = await Promise.all(Array.from({ length: 20 }, read));
    for (const { iat, exp } of claims) assert.deepEqual({ iat, exp }, { iat: 1_800_000_000, exp: 1_800_003_600 });
    assert.equal(new Set(claims.map(({ jti }) => jti)).size, 20);
  });

  it('has the kore_ claims besides, by setting', async (t) => {
    const issuer = await startIssuer(t, { koreClaims: true });
    const { jti, ...claims } = readClaims(issuer, await issuer.ask({ identity: 'alice' }));
    assert.equal(claims['kore_jti'], jti);
    assert.equal(claims['kore_iss'], CLIENT_ID);
    assert.equal(claims['kore_sub'], 'alice');
    assert.equal(claims.iss, CLIENT_ID);
    assert.equal(claims.sub, 'alice');
  });

  it('needs keys that are fit for it', async (t) => {
    const jwk = toPublicJwk(parseRsaPrivateKey(platformPem));
    const bad = {
      'a short secret': { key: new Secret('s3cret') },
      'a secret that repeats itself': { key: new Secret('ab'.repeat(32)) },
      'a PEM key as a secret': { key: new Secret(pem) },
      'a secret as a PEM key': { algorithm: 'RS256', key: new Secret(secret) },
      'a public key': {
        algorithm: 'RS256',
        key: new Secret(createPublicKey(pem).export({ type: 'spki', format: 'pem' }) as string),
      },
      'a platform key without kid': { jwe: { jwk, alg: 'RSA-OAEP', enc: 'A256GCM' } },
      'a platform key that is no RSA key': {
        jwe: { jwk: { ...jwk, kid: 'k', n: 'AQAB' }, alg: 'RSA-OAEP', enc: 'A256GCM' },
      },
    } as const;
    for (const [name, settings] of Object.entries(bad)) {
      await assert.rejects(
        startIssuer(t, settings),
        (error) => error instanceof KeyError && !error.message.includes(secret),
        name,
      );
    }
  });
});
