import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createToken } from '../../../src/core/ids.ts';
import { sha256Hex } from '../../../src/core/secret.ts';
import type { CallerAuth } from '../../../src/issuer/settings.ts';
import { assertRefused, readClaims, startIssuer } from './issuer-under-test.ts';
import { startUpstream } from './upstream-under-test.ts';

const KEY = createToken(32);
const MACHINE_MADE = ['9b0f6c1e-5c43-4f0a-8f38-0f5a1f2c3d4e', 'dCHo1cSVGn_BBSxUJvyPlg'];
const SOMEONES = [
  'alice@example.com',
  'alice',
  'e12345',
  '+4915112345678',
  'x'.repeat(21),
  `${'x'.repeat(30)}@example.com`,
];

/** A login service to which the cookie `session=alice` is alice's. */
async function createForwardAuth(t: TestContext): Promise<CallerAuth> {
  const { url } = await startUpstream(t, (res, { headers }) => {
    const isAlice = headers.cookie === 'session=alice';
    res.writeHead(isAlice ? 200 : 401).end(isAlice ? '{"identity":"alice"}' : '');
  });
  return { mode: 'forward-auth', url, identity: 'json:identity' };
}

/** The modes in which callers show who they are. */
const AUTHENTICATED: Readonly<Record<string, (t: TestContext) => Promise<CallerAuth>>> = {
  'api-key': async () => ({ mode: 'api-key', keys: `backend:${sha256Hex(KEY)}` }),
  'forward-auth': createForwardAuth,
  oidc: async () => ({
    mode: 'oidc',
    issuer: 'https://login.example',
    audience: 'a',
    jwksUrl: 'http://127.0.0.1:9/jwks',
    identityClaim: 'sub',
  }),
};

describe('anonymous users', () => {
  it('get a random identity of 128 bits, another one each time', async (t) => {
    const issuer = await startIssuer(t);
    const seen = new Set<string>();
    for (const body of [
      { isAnonymous: true },
      { isAnonymous: 1, identity: '' },
      { isAnonymous: 'true', identity: null },
      { isAnonymous: '1' },
    ]) {
      const { sub = '', isAnonymous } = readClaims(issuer, await issuer.ask(body));
      assert.match(sub, /^[\w-]{22}$/);
      assert.equal(isAnonymous, true);
      seen.add(sub);
    }
    assert.equal(seen.size, 4);
  });

  it('may be named by an open issuer', async (t) => {
    const issuer = await startIssuer(t);
    for (const identity of ['visitor 1', ...MACHINE_MADE]) {
      assert.equal(readClaims(issuer, await issuer.ask({ isAnonymous: true, identity })).sub, identity);
    }
  });

  it('may not merge', async (t) => {
    const issuer = await startIssuer(t);
    const answer = await issuer.ask({ isAnonymous: true, identityToMerge: 'anon' });
    assertRefused(answer, 400, /^"identityToMerge" is for users who are not anonymous$/);
  });

  for (const [mode, createMode] of Object.entries(AUTHENTICATED)) {
    it(`need no login: ${mode}`, async (t) => {
      const issuer = await startIssuer(t, { callerAuth: await createMode(t) });
      const { sub, isAnonymous } = readClaims(issuer, await issuer.ask({ isAnonymous: true }));
      assert.match(sub ?? '', /^[\w-]{22}$/);
      assert.equal(isAnonymous, true);
      for (const identity of MACHINE_MADE) {
        assert.equal(readClaims(issuer, await issuer.ask({ isAnonymous: true, identity })).sub, identity);
      }
      assertRefused(await issuer.ask({ identity: 'alice' }), 401, /^a credential is missing$/);
    });

    it(`may not take the name of someone: ${mode}`, async (t) => {
      const issuer = await startIssuer(t, { callerAuth: await createMode(t) });
      for (const identity of SOMEONES) {
        assertRefused(
          await issuer.ask({ isAnonymous: true, identity }),
          400,
          /^"identity" of an anonymous user must be random/,
        );
      }
    });

    it(`are refused where they are not allowed: ${mode}`, async (t) => {
      const issuer = await startIssuer(t, { callerAuth: await createMode(t), allowAnonymous: false });
      assertRefused(await issuer.ask({ isAnonymous: true }), 403, /does not sign for anonymous users/);
    });
  }

  it('are refused by an open issuer too where they are not allowed', async (t) => {
    const issuer = await startIssuer(t, { allowAnonymous: false });
    assertRefused(
      await issuer.ask({ isAnonymous: true, identity: 'visitor' }),
      403,
      /does not sign for anonymous users/,
    );
    assert.equal(readClaims(issuer, await issuer.ask({ identity: 'alice' }))['isAnonymous'], false);
  });

  it('may be signed in, or have been once', async (t) => {
    const issuer = await startIssuer(t, { callerAuth: await createForwardAuth(t) });
    for (const cookie of ['session=alice', 'session=expired', 'consent=yes']) {
      const { sub, isAnonymous } = readClaims(issuer, await issuer.ask({ isAnonymous: true }, { cookie }));
      assert.match(sub ?? '', /^[\w-]{22}$/, cookie);
      assert.equal(isAnonymous, true);
    }
    assertRefused(await issuer.ask({}, { cookie: 'session=expired' }), 401, /^the credential is not valid$/);
  });
});

describe('merging', () => {
  it('is signed for known users, whatever the anonymous identity is called', async (t) => {
    const issuer = await startIssuer(t);
    for (const identityToMerge of ['visitor 1', ...MACHINE_MADE]) {
      const claims = readClaims(issuer, await issuer.ask({ identity: 'alice', identityToMerge }));
      assert.equal(claims['identityToMerge'], identityToMerge);
      assert.equal(claims['isAnonymous'], false);
    }
  });

  it('is left out where nothing is to be merged', async (t) => {
    const issuer = await startIssuer(t);
    for (const identityToMerge of ['', null]) {
      const claims = readClaims(issuer, await issuer.ask({ identity: 'alice', identityToMerge }));
      assert.ok(!('identityToMerge' in claims));
    }
  });
});
