import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { type AppDirectory, createAppDirectory } from '../../../src/apps/directory.ts';
import { createPlatformKeys, type PlatformKeys } from '../../../src/apps/platform-keys.ts';
import { type AppRegistry, createAppRegistry } from '../../../src/apps/registry.ts';
import { appRequest } from '../../../src/apps/schemas.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createAuthenticateToken } from '../../../src/idproxy/authenticate-token.ts';
import { createExplain, type Explain } from '../../../src/idproxy/explain.ts';
import { explanation } from '../../../src/idproxy/explain-schemas.ts';
import { ID_JAG_TYP } from '../../../src/jose/id-jag.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import type { Store } from '../../../src/stores/ports.ts';
import { waitUntilReady } from '../../../src/stores/wait-until-ready.ts';
import { createVault } from '../../../src/vault/vault.ts';
import { createClaims, createRsaPair, type Json, signToken } from '../../support/assertions.ts';
import { encryptText } from '../../support/encrypt.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createTempFolder } from '../../support/processes.ts';

const NOW = 1_767_225_600;
const CONFIDENTIAL = 'account-4711';
const KEPT_BACK = 'a-member-that-nobody-knows';
const { publicKey, privateKey } = createRsaPair();

/** Settings of the apps of these tests, beside a name. */
const APPS: Readonly<Record<string, Json>> = {
  hs: { algorithm: 'HS256' },
  rs: { algorithm: 'RS256', publicKey },
  disabled: { algorithm: 'HS256', enabled: false },
  encrypted: { algorithm: 'HS256', jwe: { required: true, encs: ['A256GCM'] } },
  registered: { algorithm: 'HS256', autoRegister: false },
  idp: { algorithm: 'RS256', publicKey, idJag: { issuer: 'https://idp.example' } },
  bound: { algorithm: 'HS256', requireDpop: true },
  proven: { algorithm: 'HS256', merge: { requireProof: true } },
};

describe('an explanation', () => {
  const clock = createFakeClock(NOW);
  const vault = createVault(Buffer.alloc(32, 7));
  const keys: Record<string, { clientId: string; key: string }> = {};
  let folder: string;
  let store: Store;
  let registry: AppRegistry;
  let directory: AppDirectory;
  let platformKeys: PlatformKeys;
  let explain: Explain;
  let jwk: { kid: string };

  before(async () => {
    folder = await createTempFolder();
    store = createEmbeddedStore({ path: join(folder, 'test.db'), clock });
    await waitUntilReady(store, 5_000);
    const { documents, identities, sessions } = store;
    registry = createAppRegistry({ documents, identities, sessions, vault, clock });
    directory = createAppDirectory({ documents, vault, clock, onProblem: assert.fail });
    platformKeys = createPlatformKeys({ documents, vault, clock });
    const { keyring } = platformKeys;
    const authenticateToken = createAuthenticateToken({ directory, keyring });
    explain = createExplain({ directory, keyring, authenticateToken, clock, issuer: () => 'https://idproxy.example' });
    for (const [name, settings] of Object.entries(APPS)) {
      const made = await registry.create(appRequest.parse({ name: `The ${name} app`, ...settings }));
      keys[name] = { clientId: made.app.clientId, key: made.clientSecret ?? privateKey };
    }
    jwk = (await keyring()).current.jwk;
  });
  after(async () => {
    directory.close();
    platformKeys.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const sign = (name: string, changes: Json = {}, header: Json = {}): string => {
    const { clientId, key } = keys[name] as { clientId: string; key: string };
    const alg = String(APPS[name]?.['algorithm']);
    const claims = createClaims(clientId, NOW, { privateClaims: { a: CONFIDENTIAL }, x: KEPT_BACK, ...changes });
    return signToken({ alg, typ: 'JWT', ...header }, claims, alg, key);
  };
  const encrypt = (text: string, header: Json = {}) => encryptText(text, jwk, header);

  /** What is asked, the check that refuses first and a part of why; neither where it would be accepted. */
  const TOKENS: Readonly<Record<string, readonly [() => string | Promise<string>, (readonly [string, RegExp])?]>> = {
    'a good token': [() => sign('hs')],
    'a good token of RS256': [() => sign('rs')],
    'a good JWE': [() => encrypt(sign('hs'))],
    'a good JWE of the kid': [() => encrypt(sign('encrypted'), { kid: jwk.kid, enc: 'A256GCM' })],
    'times in milliseconds': [() => sign('hs', { iat: NOW * 1e3, exp: (NOW + 60) * 1e3 })],
    'an overridden issuer and subject': [
      () => sign('hs', { kore_iss: keys['hs']?.clientId, iss: 'x', kore_sub: 'bob' }),
    ],
    'no jti': [() => sign('hs', { jti: undefined })],
    'no token': [() => 'abc', ['shape', /neither a JWS \(3 parts\) nor/]],
    'a bearer': [() => `cs1_00ff_${'a'.repeat(43)}`, ['shape', /a bearer of this server/]],
    'a JWE of a wrong type': [() => encrypt(sign('hs'), { typ: 'JOSE' }), ['encryption', /"typ" is "JOSE", not "JWT"/]],
    'a JWE of a list of types': [() => encrypt(sign('hs'), { typ: ['JWT'] }), ['encryption', /"typ" is \["JWT"\]/]],
    'a JWE of another alg': [
      () => encrypt(sign('hs'), { alg: 'RSA-OAEP-256' }),
      ['encryption', /"alg" is "RSA-OAEP-256" and "enc" "[\w-]+"; the apps allow RSA-OAEP/],
    ],
    'a JWE for another key': [
      () => encrypt(sign('hs'), { kid: 'k' }),
      ['encryption', /"kid" is "k"; the platform has "/],
    ],
    'a JWE that was changed': [
      async () => `${(await encrypt(sign('hs'))).slice(0, -4)}AAAA`,
      ['encryption', /cannot be/],
    ],
    'claims in a JWE': [() => encrypt('{}'), ['encryption', /inside the JWE: the token is neither/]],
    'a JWE in a JWE': [async () => encrypt(await encrypt(sign('hs'))), ['encryption', /is another JWE/]],
    'an access token': [
      () => sign('hs', {}, { typ: 'at+jwt' }),
      ['type', /"at\+jwt", not "JWT", which is an access token/],
    ],
    'a DPoP proof': [() => sign('hs', {}, { typ: 'dpop+jwt' }), ['type', /a DPoP proof/]],
    'a type of the object prototype': [
      () => sign('hs', {}, { typ: 'constructor' }),
      ['type', /"constructor", not "JWT"$/],
    ],
    'an access token in a JWE': [() => encrypt(sign('hs', {}, { typ: 'at+jwt' })), ['type', /an access token/]],
    'an ID-JAG of an app without': [
      () => sign('rs', { client_id: keys['rs']?.clientId }, { typ: 'oauth-id-jag+jwt' }),
      ['kind', /does not take/],
    ],
    'no issuer': [() => sign('hs', { iss: undefined }), ['app', /"iss" is missing/]],
    'no issuer in a JWE': [
      () => encrypt(sign('hs', { iss: 7 })),
      ['app', /"iss" must be a non-empty string; it is a number/],
    ],
    'an unknown client': [
      () => sign('hs', { iss: 'cs-nobody' }),
      ['app', /"iss" is "cs-nobody", which is not registered/],
    ],
    'another algorithm': [() => sign('hs', {}, { alg: 'none' }), ['algorithm', /"alg" is "none"; registered is HS256/]],
    'another enc than the app allows': [
      () => encrypt(sign('encrypted'), { enc: 'A128GCM' }),
      ['encryption of the app', /and "enc" "A128GCM"; this app allows/],
    ],
    'a signature that was changed': [() => `${sign('hs').slice(0, -6)}AAAAAA`, ['signature', /does not hold/]],
    'a signature of another app': [
      () => sign('hs', { iss: keys['registered']?.clientId }),
      ['signature', /does not hold/],
    ],
    'a disabled app': [() => sign('disabled'), ['enabled', /is disabled/]],
    'a JWS where a JWE is asked for': [
      () => sign('encrypted'),
      ['encryption required', /encrypted tokens \(JWE\) only/],
    ],
    'another audience': [
      () => sign('hs', { aud: 'https://x.example' }),
      ['aud', /"https:\/\/x\.example"; allowed: "https/],
    ],
    'an expired token': [() => sign('hs', { exp: NOW - 42 }), ['exp', /"exp" is 42 s ago; tolerance 15 s/]],
    'an expired JWE': [() => encrypt(sign('hs', { exp: NOW - 42 })), ['exp', /"exp" is 42 s ago/]],
    'a future token': [() => sign('hs', { iat: NOW + 60 }), ['iat', /60 s ahead/]],
    'too long a life': [() => sign('hs', { exp: NOW + 7_200 }), ['lifetime', /at most 60 min/]],
    'no subject': [() => sign('hs', { sub: '' }), ['sub', /non-empty/]],
    'an anonymous user': [
      () => sign('hs', { isAnonymous: true }),
      ['isAnonymous', /"allowAnonymous" of the app is false/],
    ],
    'private claims in two spellings': [() => sign('hs', { PrivateClaims: {} }), ['privateClaims', /in two spellings/]],
  };

  for (const [what, [make, expected]] of Object.entries(TOKENS)) {
    test(`${what}: ${expected === undefined ? 'accepted' : `refused by ${expected[0]}`}`, async () => {
      const token = await make();
      const explained = await explain(token);
      assert.deepEqual(explanation.parse(explained), explained);
      const first = explained.checks.find(({ verdict }) => verdict === 'refused');
      const text = JSON.stringify(explained);
      assert.equal(first?.check, expected?.[0], text);
      assert.match(first?.says ?? '', expected?.[1] ?? /^$/);
      assert.equal(explained.isAccepted, expected === undefined);
      // One truth: the first step that refuses is what the verification itself says.
      assert.equal(first?.failure, explained.answer?.failure);
      for (const secret of [
        CONFIDENTIAL,
        KEPT_BACK,
        token,
        token.split('.').at(-1) as string,
        keys['hs']?.key as string,
      ])
        assert.ok(secret.length < 4 || !text.includes(secret), secret);
    });
  }

  const signIdJag = (changes: Json = {}) => {
    const { clientId } = keys['idp'] as { clientId: string };
    const own = {
      iss: 'https://idp.example',
      aud: 'https://idproxy.example',
      client_id: clientId,
      isAnonymous: undefined,
    };
    return sign('idp', { ...own, ...changes }, { typ: 'oauth-id-jag+jwt' });
  };

  test('an ID-JAG, by the rules of its kind', async () => {
    const taken = await explain(signIdJag());
    assert.equal(taken.isAccepted, true, JSON.stringify(taken));
    const refused = await explain(signIdJag({ exp: NOW - 42 }));
    assert.equal(refused.answer?.failure, 'expired');
    const row = refused.checks.find(({ verdict }) => verdict === 'refused');
    assert.deepEqual([row?.check, row?.says], ['exp', '"exp" is 42 s ago; tolerance 15 s; "iat" is now']);
  });

  test('an ID-JAG, claim by claim', async () => {
    const { checks, answer, otherMembers } = await explain(
      signIdJag({
        iss: 'https://other.example',
        aud: ['https://idproxy.example'],
        exp: NOW - 42,
        kore_sub: 'nobody-looks-here',
        cnf: { jkt: 5 },
        email: 'alice@corp.example',
        acr: 'x',
      }),
    );
    const says = Object.fromEntries(checks.map((row) => [row.check, `${row.verdict}: ${row.says}`]));
    assert.equal(answer?.failure, 'claim_invalid');
    const expected: Readonly<Record<string, RegExp>> = {
      iss: /^refused: "iss" is not the identity provider/,
      client_id: /^ok: "cs-/,
      tenant: /^ok: absent$/,
      cnf: /^refused: "cnf\.jkt" must be a non-empty string; it is a number$/,
      email: /^ok: there, and not shown$/,
      scope: /^ok: absent$/,
      aud: /^ok: "https:\/\/idproxy\.example"$/,
      exp: /^refused: "exp" is 42 s ago/,
      iat: /^ok: /,
      lifetime: /^not asked: rests on jti, exp$/,
      sub: /^ok: "alice@example\.com"$/,
    };
    for (const [name, pattern] of Object.entries(expected)) assert.match(says[name] ?? '', pattern, name);
    assert.deepEqual(otherMembers, ['privateClaims', 'x', 'kore_sub', 'acr']);
    assert.ok(!JSON.stringify(checks).includes('corp.example'));
  });

  /** What the log says where all that the client is told is that it is not trusted, or of the wrong type. */
  const LOGGED: Readonly<Record<string, readonly [() => string | Promise<string>, RegExp]>> = {
    'another algorithm': [() => sign('hs', {}, { alg: 'RS256' }), /^cs-\S+: "alg" is "RS256"; registered is HS256$/],
    'an unknown client': [() => sign('hs', { iss: 'cs-nobody' }), /^unknown client cs-nobody$/],
    'a wrong signature': [() => `${sign('hs').slice(0, -6)}AAAAAA`, /^cs-\S+: the signature does not hold$/],
    'an unknown kid': [
      () => encrypt(sign('hs'), { kid: 'k\u009b' }),
      /^the JWE names an unknown key: "kid" is "k\\u009b"$/,
    ],
    'a JWE that was changed': [async () => `${(await encrypt(sign('hs'))).slice(0, -4)}AAAA`, /"kid" is absent$/],
    'an alg that nobody allows': [
      () => encrypt(sign('hs'), { alg: 'RSA-OAEP-256' }),
      /^no app allows a JWE of "alg" "RSA-OAEP-256" and "enc" "A256GCM"$/,
    ],
    'an enc that the app does not allow': [
      () => encrypt(sign('encrypted'), { enc: 'A128GCM' }),
      /^cs-\S+: this app allows no JWE of "alg" "RSA-OAEP" and "enc" "A128GCM"$/,
    ],
    'no issuer in a JWE': [() => encrypt(sign('hs', { iss: undefined })), /^inside the JWE: "iss" is missing$/],
    'another type': [() => sign('hs', {}, { typ: 'x' }), /^"typ" is "x", which is not taken here$/],
    'another type in a JWE': [() => encrypt(sign('hs', {}, { typ: 'x' })), /^inside the JWE: "typ" is "x"/],
  };
  for (const [what, [make, detail]] of Object.entries(LOGGED)) {
    test(`the log tells of ${what}, the client is told nothing of it`, async () => {
      const { answer } = await explain(await make());
      assert.match(answer?.detail ?? '', detail);
      assert.match(
        answer?.msg ?? '',
        /: (?:not signed or encrypted by a known client|the header's "typ" is not "JWT")$/,
      );
    });
  }

  const says = async (token: string, check: string, options = {}) =>
    (await explain(token, options)).checks.find((row) => row.check === check);

  test('tells what is there, in what unit, and what counts', async () => {
    const clientId = keys['hs']?.clientId;
    const token = sign('hs', { iat: NOW * 1e3 - 500, iss: 'https://corp', kore_iss: clientId, kore_sub: 'bob' });
    const { checks, otherMembers, settings } = await explain(token);
    const shown = Object.fromEntries(checks.map((row) => [row.check, `${row.verdict}: ${row.says}`]));
    assert.equal(shown['type'], 'ok: "alg" "HS256", "typ" "JWT", "kid" absent');
    assert.equal(shown['app'], `ok: "kore_iss" is "${clientId}": "The hs app"`);
    assert.equal(shown['iat'], 'ok: 2025-12-31T23:59:59.500Z: "iat" is 0.5 s ago (in milliseconds)');
    assert.equal(shown['nbf'], 'ok: absent');
    assert.equal(shown['sub'], 'ok: "bob"; "kore_sub" counts before "sub"');
    assert.equal(shown['privateClaims'], 'ok: "privateClaims" has 20 bytes, which are not shown');
    assert.equal(shown['replay'], 'not asked: whether it was exchanged before: asking the store would use it up');
    assert.deepEqual(otherMembers, ['x']);
    assert.equal(settings?.clockToleranceSeconds, 15);
    assert.ok(!('sealedSecret' in (settings ?? {})));
  });

  test('goes on behind the first refusal', async () => {
    const { checks } = await explain(`${sign('hs', { exp: NOW - 60, aud: 'x', sub: 5 }).slice(0, -6)}AAAAAA`);
    const refused = checks.filter(({ verdict }) => verdict === 'refused').map(({ check }) => check);
    assert.deepEqual(refused, ['signature', 'aud', 'exp', 'sub']);
  });

  test('at another time', async () => {
    const token = sign('hs');
    assert.equal((await explain(token, { at: NOW + 314 })).isAccepted, true);
    const late = await explain(token, { at: NOW + 315 });
    assert.equal(late.answer?.msg, 'error verifying the jwt: "exp" is in the past: 15 s ago; tolerance 15 s');
    assert.equal(late.at, '2026-01-01T00:05:15.000Z');
  });

  test('for the app that was meant', async () => {
    const meant = keys['hs']?.clientId as string;
    assert.equal((await explain(sign('hs'), { app: meant })).isAccepted, true);
    const other = await explain(sign('rs'), { app: meant });
    assert.equal(other.isAccepted, false);
    assert.equal(other.answer, undefined);
    assert.match(String((await says(sign('rs'), 'app', { app: meant }))?.says), /is "cs-[^"]+", not "cs-/);
    assert.equal((await says(sign('hs', { iss: undefined }), 'signature', { app: meant }))?.verdict, 'ok');
    assert.equal((await says(sign('hs'), 'app', { app: 'cs-nobody' }))?.verdict, 'refused');
    assert.equal((await says(sign('hs'), 'signature', { app: 'cs-nobody' }))?.verdict, 'not asked');
  });

  test('says what it did not ask', async () => {
    assert.equal((await says(sign('registered'), 'user'))?.verdict, 'not asked');
    assert.equal(await says(sign('hs'), 'user'), undefined);
    assert.equal(await says(sign('hs', { jti: undefined }), 'replay'), undefined);
    assert.equal((await says(sign('bound'), 'proof'))?.verdict, 'not asked');
    const named = { client_id: keys['idp']?.clientId, cnf: { jkt: 'x' } };
    assert.equal((await says(sign('idp', named, { typ: ID_JAG_TYP }), 'proof'))?.verdict, 'not asked');
    assert.equal(await says(sign('hs', { cnf: { jkt: 'x' } }), 'proof'), undefined);
    assert.equal((await says(sign('proven', { identityToMerge: 'guest-1' }), 'merge'))?.verdict, 'not asked');
    assert.equal(await says(sign('proven'), 'merge'), undefined);
    assert.equal(await says(sign('hs', { identityToMerge: 'guest-1' }), 'merge'), undefined);
  });

  test('what a terminal would obey is not in it', async () => {
    const evil = '\u001b[2J\u009b2J\u202e';
    for (const token of [
      sign('hs', { aud: evil, sub: evil, jti: evil, iat: evil, [evil]: 1 }, { kid: evil }),
      sign('hs', { iss: evil }, { typ: evil, alg: evil }),
    ]) {
      const explained = await explain(token);
      const texts = [...explained.checks.map((row) => row.says), ...explained.otherMembers, explained.answer?.detail];
      for (const text of texts) assert.doesNotMatch(text ?? '', /[\p{Control}\p{Format}]/u);
    }
  });

  test('fails where the store does, and calls no token refused for it', async () => {
    const away = new AppError('store_unavailable');
    const { keyring } = platformKeys;
    const lost = { find: () => Promise.reject(away), jweUnion: () => Promise.reject(away), close: () => undefined };
    const authenticateToken = () => Promise.reject(away);
    for (const known of [directory, lost]) {
      const broken = createExplain({ directory: known, keyring, authenticateToken, clock, issuer: () => '' });
      await assert.rejects(broken(sign('hs')), away);
    }
  });

  test('a refusal that no step knows is a refusal', async () => {
    const strict = createExplain({
      directory,
      keyring: platformKeys.keyring,
      authenticateToken: () => Promise.reject(new AppError('assertion_untrusted', { detail: 'another rule' })),
      clock,
      issuer: () => '',
    });
    const { isAccepted, checks } = await strict(sign('hs'));
    assert.equal(isAccepted, false);
    assert.deepEqual(checks.at(-1), {
      check: 'verification',
      verdict: 'refused',
      says: 'another rule',
      failure: 'assertion_untrusted',
    });
  });
});
