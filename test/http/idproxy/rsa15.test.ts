import assert from 'node:assert/strict';
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import nodeJose from 'node-jose';

import { JWE_ENCRYPTIONS, type JweEncryption } from '../../../src/jose/algorithms.ts';
import { createJweEncrypter } from '../../../src/jose/jwe.ts';
import type { RsaPublicJwk } from '../../../src/jose/jwk.ts';
import { createClaims, type Json, signToken } from '../../support/assertions.ts';
import { encryptText } from '../../support/encrypt.ts';
import { encryptRsa15WithJwcrypto } from '../../support/rsa15-with-jwcrypto.ts';
import {
  type AppUnderTest,
  type IdproxyUnderTest,
  seedsError,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const REFUSED = {
  status: 401,
  body: seedsError(401, 'error verifying the jwt: not signed or encrypted by a known client'),
};
const BOTH = { jwe: { algs: ['RSA-OAEP', 'RSA1_5'] } };
const OAEP = { jwe: { algs: ['RSA-OAEP'] } };

describe('RSA1_5 at the idproxy', () => {
  let idproxy: IdproxyUnderTest;
  let platformKey: RsaPublicJwk & { readonly kid: string };

  before(async () => {
    idproxy = await startIdproxyUnderTest();
    const { body } = await idproxy.request('/.well-known/jwks.json');
    [platformKey] = (body as { keys: [typeof platformKey] }).keys;
  });
  after(() => idproxy.close());

  const encrypt = async (text: string, enc: JweEncryption = 'A128CBC-HS256'): Promise<string> =>
    (await createJweEncrypter(platformKey, 'RSA1_5', enc)).encrypt(text);
  const change = async (app: AppUnderTest, changes: Json): Promise<void> => {
    assert.equal((await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, changes)).status, 200);
  };
  const authorize = async (token: string): Promise<{ status: number; body: Json }> => {
    const { status, body } = await idproxy.authorize(token);
    return { status, body: body as Json };
  };
  const assertGranted = async (token: string): Promise<void> => {
    const { status, body } = await authorize(token);
    assert.equal(status, 200, JSON.stringify(body));
  };
  /** Registers an app for the time of one test: while it is there, the platform takes what it allows. */
  const withApp = async (settings: Json, act: (app: AppUnderTest) => Promise<void>): Promise<void> => {
    const app = await idproxy.register({ enforceJti: true, ...settings });
    try {
      await act(app);
    } finally {
      assert.equal((await idproxy.admin('DELETE', `/admin/apps/${app.clientId}`)).status, 204);
    }
  };

  it('is off for an app that does not name it', () =>
    withApp({}, async (app) => {
      const { body } = await idproxy.admin('GET', `/admin/apps/${app.clientId}`);
      assert.deepEqual((body as { jwe: Json }).jwe['algs'], ['RSA-OAEP']);
      const jws = app.sign();
      assert.deepEqual(await authorize(await encrypt(jws)), REFUSED);
      await assertGranted(await encryptText(jws, platformKey));
    }));

  it('stays off where other settings of the app change', () =>
    withApp({}, async (app) => {
      for (const changes of [{ name: 'Other' }, { jwe: { required: true } }, { jwe: { encs: ['A128CBC-HS256'] } }]) {
        await change(app, changes);
        assert.deepEqual(await authorize(await encrypt(app.sign())), REFUSED);
      }
    }));

  it('is taken while the app names it, beside RSA-OAEP, and no longer', () =>
    withApp(BOTH, async (app) => {
      for (const enc of JWE_ENCRYPTIONS) {
        const token = await encrypt(app.sign(), enc);
        await assertGranted(token);
        assert.match(JSON.stringify((await authorize(token)).body), /possibly a replay/);
      }
      await assertGranted(await encryptText(app.sign(), platformKey));
      await change(app, OAEP);
      assert.deepEqual(await authorize(await encrypt(app.sign())), REFUSED);
      await assertGranted(await encryptText(app.sign(), platformKey));
    }));

  it('is taken from node-jose and from jwcrypto', () =>
    withApp(BOTH, async (app) => {
      for (const enc of JWE_ENCRYPTIONS) {
        const options = { format: 'compact', contentAlg: enc, fields: { alg: 'RSA1_5', cty: 'JWT' } } as const;
        const key = await nodeJose.JWK.asKey(platformKey);
        await assertGranted(await nodeJose.JWE.createEncrypt(options, key).update(Buffer.from(app.sign())).final());
        await assertGranted(encryptRsa15WithJwcrypto(app.sign(), platformKey, enc));
      }
    }));

  it('is for the apps that name it alone, and looks like any other refusal to the others', () =>
    withApp(BOTH, (app) =>
      withApp({}, async (other) => {
        assert.deepEqual(await authorize(await encrypt(other.sign())), REFUSED);
        const unknown = signToken(
          { alg: 'HS256', typ: 'JWT' },
          createClaims('cs-unknown', idproxy.clock.nowSeconds()),
          'HS256',
          app.key,
        );
        assert.deepEqual(await authorize(await encrypt(unknown)), REFUSED);
        await assertGranted(await encrypt(app.sign()));
      }),
    ));

  it('may be all that an app takes', () =>
    withApp({ jwe: { required: true, algs: ['RSA1_5'], encs: ['A256GCM'] } }, async (app) => {
      await assertGranted(await encrypt(app.sign(), 'A256GCM'));
      assert.deepEqual(await authorize(await encrypt(app.sign(), 'A128GCM')), REFUSED);
      assert.deepEqual(await authorize(await encryptText(app.sign(), platformKey)), REFUSED);
      assert.match(JSON.stringify((await authorize(app.sign())).body), /encrypted token/);
    }));

  it('proves nothing: a signature is asked for all the same', () =>
    withApp(BOTH, async (app) => {
      const claims = createClaims(app.clientId, idproxy.clock.nowSeconds());
      const forged = signToken({ alg: 'HS256', typ: 'JWT' }, claims, 'HS256', `${app.key}x`);
      assert.deepEqual(await authorize(await encrypt(forged)), REFUSED);
      assert.deepEqual(await authorize(await encrypt(JSON.stringify(claims))), REFUSED);
      assert.deepEqual(await authorize(await encrypt(await encrypt(app.sign()))), REFUSED);
    }));

  it('fails with the one sentence whatever is wrong with it, and burns no jti', () =>
    withApp(BOTH, async (app) => {
      const good = await encrypt(app.sign());
      const key = createPublicKey({ key: { ...platformKey }, format: 'jwk' });
      const encryptBlock = (...start: number[]): Buffer => {
        const block = Buffer.from(randomBytes(256).map((byte) => byte || 1));
        block.set(start);
        block[223] = 0;
        return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
      };
      const encryptedKeys: Readonly<Record<string, Buffer>> = {
        'good padding, another content key': encryptBlock(0, 2),
        'a first byte that is not 0': encryptBlock(1, 2),
        'a second byte that is not 2': encryptBlock(0, 1),
        'a padding that ends early': encryptBlock(0, 2, 0),
        'not below the modulus': Buffer.alloc(256, 255),
        'too short': randomBytes(255),
        empty: Buffer.alloc(0),
      };
      for (const [name, encryptedKey] of Object.entries(encryptedKeys)) {
        const token = good.split('.').with(1, encryptedKey.toString('base64url')).join('.');
        assert.deepEqual(await authorize(token), REFUSED, name);
      }
      for (const part of [2, 3, 4]) {
        const token = good.split('.').with(part, randomBytes(16).toString('base64url')).join('.');
        assert.deepEqual(await authorize(token), REFUSED, `part ${part}`);
      }
      await assertGranted(good);
    }));
});
