import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';

import { startIssuer } from './issuer-under-test.ts';
import { answerJson, startUpstream } from './upstream-under-test.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const PROVIDER = 'https://login.example/';
const SERVICE = 'countersign-issuer';
const NOW = 1_800_000_000;
const CLAIMS: JWTPayload = { iss: PROVIDER, aud: SERVICE, sub: 'alice', email: 'alice@example.com', exp: NOW + 60 };

/** Asks an issuer with what a provider with two keys of one algorithm signed. */
async function ask(
  t: TestContext,
  {
    header = {},
    claims = {},
    signedBy = 0,
    identityClaim = 'email',
  }: {
    header?: Partial<JWTHeaderParameters>;
    claims?: JWTPayload;
    signedBy?: number;
    identityClaim?: string;
  },
): Promise<number> {
  const pairs = await Promise.all([0, 1, 2].map(() => generateKeyPair('ES256', { extractable: true })));
  const served = await Promise.all(
    pairs.slice(0, 2).map(async ({ publicKey }) => ({ ...(await exportJWK(publicKey)), alg: 'ES256' })),
  );
  const provider = await startUpstream(
    t,
    answerJson({ keys: served.map((jwk, index) => ({ ...jwk, kid: `k${index}` })) }),
  );
  const callerAuth = {
    mode: 'oidc',
    issuer: PROVIDER,
    audience: SERVICE,
    jwksUrl: provider.url,
    identityClaim,
  } as const;
  const issuer = await startIssuer(t, { callerAuth }, { clock: createFakeClock(NOW) });
  const key = pairs[signedBy]?.privateKey;
  assert.ok(key);
  const bearer = await new SignJWT({ ...CLAIMS, ...claims }).setProtectedHeader({ alg: 'ES256', ...header }).sign(key);
  return (await issuer.ask({}, { authorization: `Bearer ${bearer}` })).status;
}

const CASES: Readonly<Record<string, readonly [Parameters<typeof ask>[1], number]>> = {
  'no kid, the first key': [{}, 200],
  'no kid, the second key': [{ signedBy: 1 }, 200],
  'no kid, a key that is not served': [{ signedBy: 2 }, 401],
  'no kid, the second key, expired': [{ signedBy: 1, claims: { exp: NOW - 60 } }, 401],
  'typ JWT': [{ header: { kid: 'k0', typ: 'JWT' } }, 200],
  'typ at+jwt': [{ header: { kid: 'k0', typ: 'at+jwt' } }, 200],
  'typ application/at+jwt': [{ header: { kid: 'k0', typ: 'application/at+jwt' } }, 200],
  'a logout token': [{ header: { kid: 'k0', typ: 'logout+jwt' } }, 401],
  'a logout token without a kid': [{ header: { typ: 'logout+jwt' }, signedBy: 1 }, 401],
  'an address that is verified': [{ header: { kid: 'k0' }, claims: { email_verified: true } }, 200],
  'an address that is not verified': [{ header: { kid: 'k0' }, claims: { email_verified: false } }, 401],
  'an address that is not verified, as a text': [{ header: { kid: 'k0' }, claims: { email_verified: 'false' } }, 401],
  'an address that nobody asks for': [
    { header: { kid: 'k0' }, claims: { email_verified: false }, identityClaim: 'sub' },
    200,
  ],
};

describe('what an identity provider signed', () => {
  for (const [what, [token, status]] of Object.entries(CASES)) {
    it(`${what}: ${status}`, async (t) => assert.equal(await ask(t, token), status));
  }
});
