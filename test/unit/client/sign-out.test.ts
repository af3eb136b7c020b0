import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ClientError } from '../../../src/client/client.ts';
import {
  createClientUnderTest,
  IDPROXY,
  type Reply,
  type Script,
  toGrant,
  toJwt,
  toRefusal,
} from './client-under-test.ts';

const API = '/api/1.1/userinfo';
const REVOKE = '/oauth/revoke';
const [MINT, EXCHANGE] = ['/users/sts', '/authorize'];
const UNKNOWN = toRefusal(401, 'the bearer token is expired or unknown');
const REVOKED: Reply = [200, {}];

const toScript = (more: Script = {}): Script => ({
  [MINT]: [toJwt('j1')],
  [EXCHANGE]: ['b1', 'b2', 'b3'].map((token) => toGrant(token)),
  [REVOKE]: [REVOKED],
  ...more,
});

const hasCode = (code: string) => (error: unknown) => error instanceof ClientError && error.code === code;

/** A reply that comes when the test says so. */
function createLate(): { readonly reply: Promise<Reply>; come(reply: Reply): void } {
  let come = (_: Reply): void => {};
  const reply = new Promise<Reply>((done) => (come = done));
  return { reply, come: (value) => come(value) };
}

describe('signing out', () => {
  it('revokes the bearer with itself, and the next one is another', async () => {
    const test = createClientUnderTest(toScript());
    await test.settle(test.client.getBearer());
    await test.settle(test.client.signOut());
    assert.equal(test.requests.at(-1)?.body, 'token=b1');
    assert.equal(new Headers(test.requests.at(-1)?.init.headers).get('authorization'), 'Bearer b1');
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
  });

  it('tells nobody when there is no bearer', async () => {
    const test = createClientUnderTest(toScript());
    await test.settle(test.client.signOut());
    assert.equal(test.requests.length, 0);
  });

  it('ends what goes on: who waits is told, and no bearer comes of it', async () => {
    const test = createClientUnderTest(toScript());
    const waiting = [test.client.getBearer(), test.client.getBearer()];
    await Promise.all([test.client.signOut(), ...waiting.map((one) => assert.rejects(one, hasCode('aborted')))]);
    await test.flush();
    assert.equal(test.count(EXCHANGE), 0);
  });

  it('exchanges no JWT that the page brings afterwards', async () => {
    let bring = (_: string): void => {};
    const issuer = (): Promise<string> => new Promise((done) => (bring = done));
    const test = createClientUnderTest(toScript(), { issuer });
    const waiting = assert.rejects(test.client.getBearer(), hasCode('aborted'));
    await test.client.signOut();
    bring('j1');
    await Promise.all([waiting, test.flush()]);
    assert.equal(test.requests.length, 0);
  });

  it('at the moment of a grant has the bearer revoked that was granted', async () => {
    let signedOut: Promise<void> | undefined;
    // Chance is asked when the grant has just been read.
    const random = (): number => {
      if (test.count(EXCHANGE) === 1) signedOut ??= test.client.signOut();
      return 0.5;
    };
    const test = createClientUnderTest(toScript(), { issuer: () => Promise.resolve('j1'), random });
    await assert.rejects(test.client.getBearer(), hasCode('aborted'));
    await test.settle(signedOut ?? Promise.reject(new Error('nobody signed out')));
    assert.deepEqual(
      test.requests.map(({ path, body }) => [path, body]),
      [
        [EXCHANGE, 'assertion=j1'],
        [REVOKE, 'token=b1'],
      ],
    );
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
  });

  it('while an exchange is on its way waits for its grant and revokes it; who waited for it is told at once', async () => {
    const granted = createLate();
    const test = createClientUnderTest(toScript({ [EXCHANGE]: [granted.reply, toGrant('b2')] }));
    const waiting = assert.rejects(test.client.getBearer(), hasCode('aborted'));
    await test.flush();
    const signedOut = test.client.signOut();
    await waiting;
    assert.equal(await test.settle(test.client.getBearer()), 'b2', 'the next one need not wait');
    granted.come(toGrant('b1'));
    await test.settle(signedOut);
    assert.deepEqual([test.count(REVOKE), test.requests.at(-1)?.body], [1, 'token=b1']);
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
  });

  it('while an exchange fails on its way is done with it', async () => {
    const refused = createLate();
    const test = createClientUnderTest(toScript({ [EXCHANGE]: [refused.reply, toGrant('b2')] }));
    const waiting = assert.rejects(test.client.getBearer(), hasCode('aborted'));
    await test.flush();
    const signedOut = test.client.signOut();
    await waiting;
    refused.come('broken');
    await test.settle(signedOut);
    assert.deepEqual([test.count(REVOKE), test.count(EXCHANGE)], [0, 1]);
  });

  it('during a renewal revokes both, each once', async () => {
    const granted = createLate();
    const test = createClientUnderTest(toScript({ [EXCHANGE]: [toGrant('b1'), granted.reply] }));
    await test.settle(test.client.getBearer());
    test.pass(0.9 * 3_600_000);
    assert.equal(await test.client.getBearer(), 'b1');
    await test.flush();
    const signedOut = test.client.signOut();
    granted.come(toGrant('b2'));
    await test.settle(signedOut);
    const revoked = test.requests.filter(({ path }) => path === REVOKE).map(({ body }) => body);
    assert.deepEqual(revoked, ['token=b1', 'token=b2']);
  });

  it('is not undone by the 401 of a request that is on its way: its caller gets the 401', async () => {
    const refused = createLate();
    const test = createClientUnderTest(toScript({ [API]: [refused.reply] }));
    await test.settle(test.client.getBearer());
    const pending = test.client.fetchWithBearer(`${IDPROXY}${API}`);
    await test.flush();
    await test.settle(test.client.signOut());
    refused.come(UNKNOWN);
    assert.equal((await test.settle(pending)).status, 401);
    assert.deepEqual([test.count(MINT), test.count(EXCHANGE), test.count(API)], [1, 1, 1]);
  });

  it('is not undone while the answer of a 401 is thrown away', async () => {
    let signedOut: Promise<void> | undefined;
    const body = new ReadableStream({ cancel: () => void (signedOut = client.signOut()) });
    const asked: string[] = [];
    const { client } = createClientUnderTest(
      {},
      {
        issuer: () => Promise.resolve('j1'),
        fetch: (url) => {
          const { pathname } = new URL(url);
          asked.push(pathname);
          if (pathname === API) return Promise.resolve(new Response(body, { status: 401 }));
          return Promise.resolve(Response.json({ access_token: 'b1', expires_in: 60 }));
        },
      },
    );
    await assert.rejects(client.fetchWithBearer(`${IDPROXY}${API}`), hasCode('aborted'));
    await signedOut;
    assert.deepEqual(asked, [EXCHANGE, API]);
  });

  it('and in again is another story: a 401 of before takes nothing from it', async () => {
    const refused = createLate();
    const test = createClientUnderTest(toScript({ [API]: [refused.reply] }));
    await test.settle(test.client.getBearer());
    const pending = test.client.fetchWithBearer(`${IDPROXY}${API}`);
    await test.flush();
    await test.settle(test.client.signOut());
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
    refused.come(UNKNOWN);
    assert.equal((await test.settle(pending)).status, 401);
    assert.equal(await test.settle(test.client.getBearer()), 'b2');
    assert.equal(test.count(API), 1);
  });

  it('tries again while the server is busy, forgets the bearer at once, and says when it was of no use', async () => {
    const busy = toRefusal(503, 'try again');
    const healed = createClientUnderTest(toScript({ [REVOKE]: [busy, [200, '']] }));
    await healed.settle(healed.client.getBearer());
    await healed.settle(healed.client.signOut());
    assert.equal(healed.count(REVOKE), 2);

    const failing = createClientUnderTest(toScript({ [REVOKE]: [busy] }));
    await failing.settle(failing.client.getBearer());
    const signedOut = failing.client.signOut();
    assert.equal(await failing.settle(failing.client.getBearer()), 'b2');
    await assert.rejects(failing.settle(signedOut), hasCode('unavailable'));
    const leaving = failing.client.signOut(AbortSignal.abort());
    await assert.rejects(leaving, hasCode('aborted'));
  });
});
