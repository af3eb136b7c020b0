import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { createClaims, createRsaPair, signToken } from '../../support/assertions.ts';
import { encryptText } from '../../support/encrypt.ts';
import {
  type AppUnderTest,
  type IdproxyUnderTest,
  seedsError,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const ALGORITHMS = ['HS256', 'HS512', 'RS256', 'RS512'];
const ENCRYPTIONS = ['A128CBC-HS256', 'A128GCM', 'A256GCM'];
const UNTRUSTED = 'not signed or encrypted by a known client';
const HS = { alg: 'HS256', typ: 'JWT' };

describe('verification', () => {
  let idproxy: IdproxyUnderTest;
  const apps: Record<string, AppUnderTest> = {};
  let app: AppUnderTest;
  let jwk: { kty: string; n: string; e: string; kid: string };

  before(async () => {
    idproxy = await startIdproxyUnderTest();
    for (const algorithm of ALGORITHMS) apps[algorithm] = await idproxy.register({ algorithm });
    app = apps['HS256'] as AppUnderTest;
    jwk = (await idproxy.request('/.well-known/jwks.json')).body.keys[0];
  });
  after(() => idproxy.close());

  const expectRefused = async (assertion: string, msg: string): Promise<void> => {
    const { status, body } = await idproxy.authorize(assertion);
    assert.deepEqual({ status, body }, { status: 401, body: seedsError(401, `error verifying the jwt: ${msg}`) });
  };
  const expectGranted = async (assertion: string): Promise<void> => {
    const { status, body } = await idproxy.authorize(assertion);
    assert.equal(status, 200, JSON.stringify(body));
  };
  const claims = (changes = {}) => createClaims(app.clientId, START_AT, changes);
  const resign = (header: object | string, changed: object | string): string =>
    signToken(header as string, changed as string, 'HS256', app.key);

  for (const signed of ALGORITHMS) {
    for (const pinned of ALGORITHMS) {
      test(`${signed} is ${signed === pinned ? 'taken' : 'refused'} where ${pinned} is pinned`, async () => {
        const target = apps[pinned] as AppUnderTest;
        const key = (apps[signed] as AppUnderTest).key;
        const token = signToken({ alg: signed, typ: 'JWT' }, createClaims(target.clientId, START_AT), signed, key);
        if (signed === pinned) await expectGranted(token);
        else await expectRefused(token, UNTRUSTED);
      });
    }
  }

  test('an RS256 public key is no HS256 secret', async () => {
    const { publicKey } = createRsaPair();
    const rsa = await idproxy.register({ algorithm: 'RS256', publicKey });
    for (const secret of [publicKey, publicKey.trim(), publicKey.replaceAll('\n', '')]) {
      await expectRefused(signToken(HS, createClaims(rsa.clientId, START_AT), 'HS256', secret), UNTRUSTED);
    }
  });

  test('the secret is used as text: its decoded bytes sign nothing', async () => {
    const decoded = Buffer.from(app.key, 'base64').toString('latin1');
    await expectRefused(signToken(HS, claims(), 'HS256', decoded), UNTRUSTED);
  });

  const NOT_TRUSTED: Readonly<Record<string, () => string>> = {
    'alg none without a signature': () => resign({ alg: 'none' }, claims()).replace(/[^.]*$/, ''),
    'alg none with a signature': () => resign({ alg: 'none' }, claims()),
    'alg in another case': () => resign({ alg: 'hs256' }, claims()),
    'alg absent': () => resign({ typ: 'JWT' }, claims()),
    'alg an array': () => resign('{"alg":["HS256"]}', claims()),
    'alg __proto__': () => resign({ alg: '__proto__' }, claims()),
    'an empty signature': () => app.sign().replace(/[^.]*$/, ''),
    'a signature cut short': () =>
      spoil(2, (segment) => Buffer.from(segment, 'base64url').toString('base64url', 0, 31)),
    'a payload of another token': () => {
      const [header, , signature] = app.sign().split('.');
      return [header, app.sign({ sub: 'mallory' }).split('.')[1], signature].join('.');
    },
    'a key in the header': () => {
      const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      const header = { alg: 'RS256', jwk: publicKey.export({ format: 'jwk' }) };
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      return signToken(header, createClaims((apps['RS256'] as AppUnderTest).clientId, START_AT), 'RS256', pem);
    },
  };
  for (const [what, make] of Object.entries(NOT_TRUSTED)) {
    test(`not trusted: ${what}`, () => expectRefused(make(), UNTRUSTED));
  }

  const spoil = (index: number, change: (segment: string) => string): string =>
    app
      .sign()
      .split('.')
      .map((segment, at) => (at === index ? change(segment) : segment))
      .join('.');
  const NOT_CANONICAL = 'a part of the token is not canonical base64url';
  const strayBits = (segment: string): string => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return segment.slice(0, -1) + alphabet[alphabet.indexOf(segment.at(-1) as string) ^ 1];
  };
  const SHAPES: Readonly<Record<string, readonly [() => string, string]>> = {
    'one part': [() => 'abc', 'the token is neither a JWS (3 parts) nor a JWE (5 parts)'],
    'four parts': [() => `${app.sign()}.x`, 'the token is neither a JWS (3 parts) nor a JWE (5 parts)'],
    'six parts': [() => 'a.b.c.d.e.f', 'the token is neither a JWS (3 parts) nor a JWE (5 parts)'],
    'a thousand parts': [() => '.'.repeat(1000), 'the token is neither a JWS (3 parts) nor a JWE (5 parts)'],
    padding: [() => spoil(2, (segment) => `${segment}=`), NOT_CANONICAL],
    'white space': [() => spoil(1, (segment) => `${segment} `), NOT_CANONICAL],
    'a line feed inside': [() => spoil(2, (segment) => `${segment.slice(0, 4)}\n${segment.slice(4)}`), NOT_CANONICAL],
    'standard base64': [() => spoil(2, () => '+/+/'), NOT_CANONICAL],
    'stray bits in the signature': [() => spoil(2, strayBits), NOT_CANONICAL],
    'a header that is no JSON': [() => resign('{', claims()), 'the header is not valid JSON'],
    'a header that is an array': [() => resign('["HS256"]', claims()), 'the header is not a JSON object'],
    'claims that are a string': [() => resign(HS, '"x"'), 'the payload is not a JSON object'],
    'claims that are null': [() => resign(HS, 'null'), 'the payload is not a JSON object'],
    'a claim twice': [() => resign(HS, '{"sub":"a","sub":"b"}'), 'the payload has a member twice'],
    'a claim twice, once escaped': [() => resign(HS, '{"sub":"a","s\\u0075b":"b"}'), 'the payload has a member twice'],
    'alg twice': [() => resign('{"alg":"HS256","alg":"none"}', claims()), 'the header has a member twice'],
    'claims that are no UTF-8': [
      () => spoil(1, () => Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')),
      'the payload is not UTF-8',
    ],
    'a critical extension': [
      () => resign({ ...HS, crit: ['exp'], exp: 1 }, claims()),
      'the header has critical extensions ("crit")',
    ],
    'an empty crit': [() => resign({ ...HS, crit: [] }, claims()), 'the header has critical extensions ("crit")'],
    'a header of 3 KB': [
      () => resign({ ...HS, x: 'x'.repeat(3000) }, claims()),
      'the header is larger than 2048 bytes',
    ],
    'a token of 33 KB': [() => app.sign({ x: 'x'.repeat(33_000) }), 'the token is larger than 32768 bytes'],
    'typ at+jwt': [() => resign({ alg: 'HS256', typ: 'at+jwt' }, claims()), `the header's "typ" is not "JWT"`],
    'typ application/jwt': [
      () => resign({ alg: 'HS256', typ: 'application/jwt' }, claims()),
      `the header's "typ" is not "JWT"`,
    ],
    'typ dpop+jwt': [() => resign({ alg: 'HS256', typ: 'dpop+jwt' }, claims()), `the header's "typ" is not "JWT"`],
    'typ a number': [() => resign('{"alg":"HS256","typ":1}', claims()), `the header's "typ" is not "JWT"`],
  };
  for (const [what, [make, msg]] of Object.entries(SHAPES)) {
    test(`shape: ${what}`, () => expectRefused(make(), msg));
  }

  const TAKEN: Readonly<Record<string, () => string>> = {
    'typ absent': () => resign({ alg: 'HS256' }, claims()),
    'typ in lower case': () => resign({ typ: 'jwt', alg: 'HS256' }, claims()),
    'unknown header members': () =>
      resign({ ...HS, fName: 'A', lName: 'B', kid: 'x', jku: 'https://evil.example' }, claims()),
    'isAnonymous as the string false': () => app.sign({ isAnonymous: 'false' }),
    'isAnonymous absent': () => app.sign({ isAnonymous: undefined }),
    'the other audience of the seeds': () => app.sign({ aud: 'https://idproxy.kore.ai/authorize' }),
    'kore_iss over a corporate iss': () => app.sign({ iss: 'https://idp.example', kore_iss: app.clientId }),
    'kore_sub over a corporate sub': () => app.sign({ sub: '00u1', kore_sub: 'alice@example.com' }),
    'iat absent': () => app.sign({ iat: undefined }),
    'private claims of 8 KB': () => app.sign({ privateClaims: { a: 'x'.repeat(8_180) } }),
    'private claims in the other spelling': () => app.sign({ SecureCustomData: { a: 1 } }),
  };
  for (const [what, make] of Object.entries(TAKEN)) {
    test(`taken: ${what}`, () => expectGranted(make()));
  }

  const CLAIMS: Readonly<Record<string, readonly [Record<string, unknown>, string]>> = {
    'iss absent': [{ iss: undefined }, '"iss" is missing'],
    'iss a number': [{ iss: 7 }, '"iss" must be a non-empty string'],
    'kore_iss an array': [{ kore_iss: ['x'] }, '"kore_iss" must be a non-empty string'],
    'aud absent': [{ aud: undefined }, '"aud" is missing'],
    'aud an array': [{ aud: ['https://idproxy.kore.com/authorize'] }, '"aud" must be a non-empty string'],
    'aud empty': [{ aud: '' }, '"aud" must be a non-empty string'],
    'aud of someone else': [{ aud: 'https://other.example' }, '"aud" is not an audience of this client'],
    'aud with a slash more': [
      { aud: 'https://idproxy.kore.com/authorize/' },
      '"aud" is not an audience of this client',
    ],
    'exp absent': [{ exp: undefined }, '"exp" is missing'],
    'exp a string': [{ exp: String(START_AT + 60) }, '"exp" must be a time as a number'],
    'exp negative': [{ exp: -1 }, '"exp" must be a time as a number'],
    'exp absurd': [{ exp: 1e300 }, 'if "jti" claim "exp" must be <= 1 hour(s)'],
    'exp absurd without a jti': [{ exp: 1e300, jti: undefined }, '"exp" must be <= 86400 second(s) from now'],
    'iat a boolean': [{ iat: true }, '"iat" must be a time as a number'],
    'sub absent': [{ sub: undefined }, '"sub" is missing'],
    'sub empty': [{ sub: '' }, '"sub" must be a non-empty string'],
    'kore_sub empty over a good sub': [{ kore_sub: '' }, '"kore_sub" must be a non-empty string'],
    'sub too long': [{ sub: 'x'.repeat(257) }, '"sub" must have at most 256 characters'],
    'sub with a NUL': [{ sub: 'alice\u0000' }, '"sub" has characters that no name may have'],
    'sub with a C1 control': [{ sub: 'alice\u0085' }, '"sub" has characters that no name may have'],
    'sub with a lone surrogate': [{ sub: 'alice\ud800' }, '"sub" has characters that no name may have'],
    'jti empty': [{ jti: '' }, '"jti" must be a non-empty string'],
    'jti a number': [{ jti: 1234 }, '"jti" must be a non-empty string'],
    'kore_jti an object': [{ kore_jti: {} }, '"kore_jti" must be a non-empty string'],
    'isAnonymous yes': [{ isAnonymous: 'yes' }, '"isAnonymous" must be true or false'],
    'isAnonymous 1': [{ isAnonymous: 1 }, '"isAnonymous" must be true or false'],
    'an anonymous user': [{ isAnonymous: true }, '"isAnonymous" users are not allowed for this client'],
    'identityToMerge an array': [{ identityToMerge: ['a'] }, '"identityToMerge" must be a non-empty string'],
    'private claims an array': [{ privateClaims: [] }, '"privateClaims" must be an object'],
    'private claims in two spellings': [
      { privateClaims: {}, PrivateClaims: {} },
      '"privateClaims" is there in two spellings',
    ],
    'private claims too large': [
      { privateClaims: { a: 'x'.repeat(8_200) } },
      '"privateClaims" must have at most 8192 bytes',
    ],
  };
  for (const [what, [changes, msg]] of Object.entries(CLAIMS)) {
    test(`claims: ${what}`, () => expectRefused(app.sign(changes), msg));
  }

  const SETTINGS: Readonly<
    Record<string, readonly [Record<string, unknown>, Record<string, unknown>, string | undefined]>
  > = {
    'jti enforced, absent': [{ enforceJti: true }, { jti: undefined }, '"jti" is missing'],
    'jti enforced, there': [{ enforceJti: true }, {}, undefined],
    'anonymous allowed': [{ allowAnonymous: true }, { isAnonymous: true }, undefined],
    'anonymous allowed, as a string': [{ allowAnonymous: true }, { isAnonymous: 'true' }, undefined],
    'not auto-registered': [{ autoRegister: false }, {}, '"sub" is not a user of this client'],
    'not auto-registered, anonymous': [{ autoRegister: false, allowAnonymous: true }, { isAnonymous: true }, undefined],
    'audiences of its own': [{ audiences: ['https://me.example'] }, { aud: 'https://me.example' }, undefined],
    'audiences of its own, the default': [
      { audiences: ['https://me.example'] },
      {},
      '"aud" is not an audience of this client',
    ],
    'a shorter maximum': [{ maxLifetimeSeconds: 60 }, { exp: START_AT + 76 }, '"exp" must be <= 60 second(s) from now'],
    'no tolerance': [
      { clockToleranceSeconds: 0 },
      { iat: START_AT + 1 },
      '"iat" is in the future: 1 s ahead; tolerance 0 s',
    ],
    disabled: [{ enabled: false }, {}, 'this client is disabled'],
    'JWE required': [{ jwe: { required: true } }, {}, 'this client must send an encrypted token (JWE)'],
  };
  for (const [what, [settings, changes, msg]] of Object.entries(SETTINGS)) {
    test(`settings: ${what}`, async () => {
      const own = await idproxy.register({ algorithm: 'HS256', ...settings });
      if (msg === undefined) await expectGranted(own.sign(changes));
      else await expectRefused(own.sign(changes), msg);
    });
  }

  test('a lifetime of a day without a jti passes, a second more does not', async () => {
    await expectGranted(app.sign({ jti: undefined, exp: START_AT + 86_400 + 15 }));
    await expectRefused(
      app.sign({ jti: undefined, exp: START_AT + 86_400 + 16 }),
      '"exp" must be <= 86400 second(s) from now',
    );
  });

  describe('JWE', () => {
    for (const enc of ENCRYPTIONS) {
      for (const algorithm of ALGORITHMS) {
        test(`${algorithm} inside ${enc} is taken`, async () => {
          const { kid } = jwk;
          await expectGranted(
            await encryptText((apps[algorithm] as AppUnderTest).sign(), jwk, { enc, kid, typ: 'JWT', cty: 'JWT' }),
          );
        });
      }
    }

    const HEADERS: Readonly<Record<string, object>> = {
      'typ alone': { typ: 'JWT' },
      'cty alone': { cty: 'JWT' },
      neither: {},
      'lower case': { typ: 'jwt', cty: 'jwt' },
    };
    for (const [what, header] of Object.entries(HEADERS)) {
      test(`its header says JWT by ${what}`, async () =>
        expectGranted(await encryptText(app.sign(), jwk, header as never)));
    }

    const REFUSED: Readonly<Record<string, () => Promise<string> | string>> = {
      'bare claims inside': () => encryptText(JSON.stringify(claims()), jwk),
      'a JWE inside a JWE': async () => encryptText(await encryptText(app.sign(), jwk), jwk),
      'an alg none token inside': () => encryptText(resign({ alg: 'none' }, claims()), jwk),
      'an unknown kid': () => encryptText(app.sign(), jwk, { kid: 'somebody-else' }),
      'a kid that is a number': () => encryptText(app.sign(), jwk, { kid: 7 }),
      'another key': () => {
        const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
        return encryptText(app.sign(), publicKey.export({ format: 'jwk' }), { kid: jwk.kid });
      },
      'an enc that nobody allows': () => encryptText(app.sign(), jwk, { enc: 'A256CBC-HS512' }),
      'an alg that nobody allows': () => encryptText(app.sign(), jwk, { alg: 'RSA-OAEP-256' }),
      'a tag that was changed': async () => (await encryptText(app.sign(), jwk)).slice(0, -4) + 'AAAA',
      'a content key that was changed': async () => {
        const [header, key = '', ...rest] = (await encryptText(app.sign(), jwk)).split('.');
        return [header, `${key.slice(0, 20)}${key[20] === 'A' ? 'B' : 'A'}${key.slice(21)}`, ...rest].join('.');
      },
      'a header that was changed': async () => {
        const [, ...rest] = (await encryptText(app.sign(), jwk)).split('.');
        return [Buffer.from('{"alg":"RSA-OAEP","enc":"A256GCM","x":1}').toString('base64url'), ...rest].join('.');
      },
      'a typ inside that is not JWT': () => encryptText(resign({ alg: 'HS256', typ: 'at+jwt' }, claims()), jwk),
      'no issuer inside': () => encryptText(app.sign({ iss: undefined }), jwk),
      'an issuer inside that is a number': () => encryptText(app.sign({ iss: 7 }), jwk),
      'a signature inside that does not hold': () => encryptText(`${app.sign().slice(0, -6)}AAAAAA`, jwk),
    };
    for (const [what, make] of Object.entries(REFUSED)) {
      test(`refused without saying why: ${what}`, async () => expectRefused(await make(), UNTRUSTED));
    }

    test('compressed content is refused', async () => {
      const [, ...rest] = (await encryptText(app.sign(), jwk)).split('.');
      const header = Buffer.from('{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}').toString('base64url');
      await expectRefused([header, ...rest].join('.'), 'the token is compressed ("zip")');
    });

    test("the app's own set holds, with the same message", async () => {
      const strict = await idproxy.register({ algorithm: 'HS256', jwe: { required: true, encs: ['A256GCM'] } });
      await expectGranted(await encryptText(strict.sign(), jwk, { enc: 'A256GCM' }));
      await expectRefused(await encryptText(strict.sign(), jwk, { enc: 'A128GCM' }), UNTRUSTED);
    });

    test('a refused JWE burns no jti, a granted one does', async () => {
      const jws = app.sign();
      await expectRefused((await encryptText(jws, jwk)).slice(0, -4) + 'AAAA', UNTRUSTED);
      await expectGranted(await encryptText(jws, jwk));
      await expectRefused(await encryptText(jws, jwk), 'possibly a replay');
      await expectRefused(jws, 'possibly a replay');
    });
  });
});
