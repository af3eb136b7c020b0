import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { before, describe, it, type TestContext } from 'node:test';

import { decodeJwt, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';

import { assertRefused, type IssuerUnderTest, readClaims, readJwt, startIssuer } from './issuer-under-test.ts';
import { answerJson, type Answering, startUpstream, type UpstreamUnderTest } from './upstream-under-test.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

/** A name that a machine made for a visitor. */
const VISITOR = 'dCHo1cSVGn_BBSxUJvyPlg';
const PROVIDER = 'https://login.example/';
const SERVICE = 'countersign-issuer';
const NOW = 1_800_000_000;

type Key = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

interface ProviderKey {
  readonly privateKey: Key;
  readonly jwk: JWK;
}

async function createProviderKey(alg: string, kid: string): Promise<ProviderKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } };
}

const CLAIMS = { iss: PROVIDER, aud: SERVICE, sub: 'alice', email: 'alice@example.com', exp: NOW + 60 };

const sign = (key: Key | Uint8Array, claims: JWTPayload, alg = 'ES256', kid = 'k1'): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key);

interface Started {
  readonly issuer: IssuerUnderTest;
  readonly provider: UpstreamUnderTest;
  readonly askWith: (bearer: string, body?: object) => ReturnType<IssuerUnderTest['ask']>;
}

async function start(
  t: TestContext,
  answer: Answering,
  identityClaim = 'sub',
  upstreamTimeoutMs = 5_000,
): Promise<Started> {
  const provider = await startUpstream(t, answer);
  const callerAuth = {
    mode: 'oidc',
    issuer: PROVIDER,
    audience: SERVICE,
    jwksUrl: `${provider.url}/jwks`,
    identityClaim,
  } as const;
  const issuer = await startIssuer(t, { callerAuth, upstreamTimeoutMs }, { clock: createFakeClock(NOW) });
  return { issuer, provider, askWith: (bearer, body = {}) => issuer.ask(body, { authorization: `Bearer ${bearer}` }) };
}

describe('callers with a bearer of an identity provider', () => {
  let elliptic: ProviderKey;
  let rsa: ProviderKey;
  let foreign: ProviderKey;
  let serveKeys: Answering;

  before(async () => {
    elliptic = await createProviderKey('ES256', 'k1');
    rsa = await createProviderKey('RS256', 'k2');
    foreign = await createProviderKey('ES256', 'k1');
    serveKeys = answerJson({ keys: [elliptic.jwk, rsa.jwk] });
  });

  it('are who their bearer says, by the configured claim; the JWKS is fetched once', async (t) => {
    const { issuer, provider, askWith } = await start(t, serveKeys, 'email');
    const claims = await Promise.all([
      askWith(await sign(elliptic.privateKey, CLAIMS)),
      askWith(await sign(rsa.privateKey, CLAIMS, 'RS256', 'k2'), { identity: 'alice@example.com' }),
      askWith(await sign(elliptic.privateKey, { ...CLAIMS, aud: ['other', SERVICE] })),
    ]);
    for (const answer of claims) assert.equal(decodeJwt(readJwt(answer)).sub, 'alice@example.com');
    assert.equal(provider.seen.length, 1);
    assert.equal(provider.seen[0]?.headers.authorization, undefined);
    assert.equal(issuer.log().includes('alice@example.com'), false);
  });

  it('may not be anybody else', async (t) => {
    const { askWith } = await start(t, serveKeys);
    const answer = await askWith(await sign(elliptic.privateKey, CLAIMS), { identity: 'bob' });
    assertRefused(answer, 403, /another identity than your own/);
  });

  it('are nobody without a bearer', async (t) => {
    const { issuer, provider } = await start(t, serveKeys);
    const attempts: Record<string, string>[] = [{}, { authorization: 'Basic YTpi' }, { cookie: 'a=b' }];
    for (const headers of attempts) {
      assertRefused(await issuer.ask({ identity: 'alice' }, headers), 401, /^a credential is missing$/);
    }
    assert.equal(provider.seen.length, 0);
  });

  it('keep a tolerance of 15 s', async (t) => {
    const { askWith } = await start(t, serveKeys);
    assert.equal((await askWith(await sign(elliptic.privateKey, { ...CLAIMS, exp: NOW - 14 }))).status, 200);
    assert.equal((await askWith(await sign(elliptic.privateKey, { ...CLAIMS, nbf: NOW + 14 }))).status, 200);
  });

  const badClaims: Readonly<Record<string, object>> = {
    'that is expired': { exp: NOW - 16 },
    'without an end': { exp: undefined },
    'that is not valid yet': { nbf: NOW + 16 },
    'of another provider': { iss: 'https://login.example' },
    'of no provider': { iss: undefined },
    'for another service': { aud: 'other' },
    'for no service': { aud: undefined },
    'without the identity claim': { sub: undefined },
    'with an empty identity': { sub: '' },
    'with a number as the identity': { sub: 7 },
    'with a list as the identity': { sub: ['alice'] },
    'with a control character': { sub: 'alice\u0000' },
    'with an end that is a text': { exp: String(NOW + 60) },
  };
  for (const [name, change] of Object.entries(badClaims)) {
    it(`are refused with a bearer ${name}`, async (t) => {
      const { askWith } = await start(t, serveKeys);
      const claims: JWTPayload = JSON.parse(JSON.stringify({ ...CLAIMS, ...change })) as JWTPayload;
      const bearer = await sign(elliptic.privateKey, claims);
      for (const body of [{ identity: 'alice' }, {}, { isAnonymous: true }]) {
        assertRefused(await askWith(bearer, body), 401, /^the credential is not valid$/);
      }
    });
  }

  it('are refused with a bearer that nobody signed, or somebody else', async (t) => {
    const { issuer, askWith } = await start(t, serveKeys);
    const publicPem = createPublicKey({ key: { ...rsa.jwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const good = await sign(elliptic.privateKey, CLAIMS);
    const bearers = {
      foreign: await sign(foreign.privateKey, CLAIMS),
      unsigned: new UnsecuredJWT(CLAIMS).encode(),
      'an HMAC with the public key': await sign(Buffer.from(publicPem), CLAIMS, 'HS256', 'k2'),
      'an unknown key id': await sign(foreign.privateKey, CLAIMS, 'ES256', 'k9'),
      changed: good.replace(
        /\.[^.]+\./,
        `.${Buffer.from(JSON.stringify({ ...CLAIMS, sub: 'bob' })).toString('base64url')}.`,
      ),
      cut: good.slice(0, -4),
      'not a token': 'this-is-no-token',
      'three empty parts': '..',
    };
    for (const [name, bearer] of Object.entries(bearers)) {
      assertRefused(await askWith(bearer, { identity: 'alice' }), 401, /^the credential is not valid$/);
      assert.ok(!issuer.log().includes(bearer), name);
    }
  });

  const broken: Readonly<Record<string, Answering>> = {
    'that answers 500': answerJson({}, 500),
    'that redirects': (res) => void res.writeHead(302, { location: '/elsewhere' }).end(),
    'that answers a page': (res) => void res.end('<html></html>'),
    'that answers no key set': answerJson({ keys: 'none' }),
    'that answers more than 256 KB': (res) => void res.end(`{"keys":[]${' '.repeat(262_144)}}`),
    'that breaks off': (res) => void res.destroy(),
    'with a key that cannot be used': answerJson({
      keys: [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'k1', alg: 'ES256' }],
    }),
  };
  for (const [name, answer] of Object.entries(broken)) {
    it(`cannot be checked by a JWKS URL ${name}`, async (t) => {
      const { askWith } = await start(t, answer);
      assertRefused(await askWith(await sign(elliptic.privateKey, CLAIMS)), 503, /does not answer; try again$/);
    });
  }

  it('do not wait for a JWKS URL that never answers, and are known once it does', async (t) => {
    let isSlow = true;
    const { askWith } = await start(t, (res, seen) => (isSlow ? undefined : serveKeys(res, seen)), 'sub', 100);
    const bearer = await sign(elliptic.privateKey, CLAIMS);
    assertRefused(await askWith(bearer), 503, /does not answer/);
    isSlow = false;
    assert.equal((await askWith(bearer)).status, 200);
  });

  it('stay known while the provider is down', async (t) => {
    const { issuer, provider, askWith } = await start(t, serveKeys);
    const bearer = await sign(elliptic.privateKey, CLAIMS);
    assert.equal((await askWith(bearer)).status, 200);
    await provider.stop();
    const claims = await askWith(bearer);
    assert.equal(claims.status, 200);
    assert.ok(!issuer.log().includes(bearer));
  });

  it('signs what they are, verified', async (t) => {
    const { provider } = await start(t, serveKeys);
    const callerAuth = {
      mode: 'oidc',
      issuer: PROVIDER,
      audience: SERVICE,
      jwksUrl: provider.url,
      identityClaim: 'sub',
    } as const;
    const issuer = await startIssuer(t, { callerAuth });
    const bearer = await sign(elliptic.privateKey, {
      ...CLAIMS,
      exp: Math.floor(performance.timeOrigin / 1000) + 3_600,
    });
    const answer = await issuer.ask({ identityToMerge: VISITOR }, { authorization: `bearer ${bearer}` });
    const claims = readClaims(issuer, answer);
    assert.equal(claims.sub, 'alice');
    assert.equal(claims['identityToMerge'], VISITOR);
    assert.equal(claims['isAnonymous'], false);
  });
});
