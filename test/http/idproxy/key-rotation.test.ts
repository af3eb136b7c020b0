import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { createClaims, createRsaPair, type Json, signToken } from '../../support/assertions.ts';
import {
  type Answer,
  type IdproxyUnderTest,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';

const REFUSED = 'error verifying the jwt: not signed or encrypted by a known client';
const DAY = 86_400;

interface Signer {
  readonly clientId: string;
  readonly algorithm: string;
  readonly key: string;
}

describe('the keys of an app', () => {
  let idproxy: IdproxyUnderTest;
  before(async () => {
    idproxy = await startIdproxyUnderTest();
  });
  after(() => idproxy.close());

  const exchange = async ({ clientId, algorithm, key }: Signer, header: Json = {}): Promise<number> => {
    const claims = createClaims(clientId, idproxy.clock.nowSeconds());
    const answer = await idproxy.authorize(
      signToken({ alg: algorithm, typ: 'JWT', ...header }, claims, algorithm, key),
    );
    if (answer.status !== 200) assert.deepEqual(answer.body, { errors: [{ msg: REFUSED, code: 401 }] });
    return answer.status;
  };
  const keysOf = (clientId: string, rest = ''): string => `/admin/apps/${clientId}/keys${rest}`;
  const list = async (clientId: string): Promise<Json[]> => (await idproxy.admin('GET', keysOf(clientId))).body.keys;
  const add = async (clientId: string, body: Json = {}): Promise<Answer> => {
    const answer = await idproxy.admin('POST', keysOf(clientId), body);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer;
  };
  const assertRefused = (answer: Answer, status: number, msg: RegExp): void => {
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.body.errors[0].msg, msg);
  };
  const at = (seconds: number): void => idproxy.clock.set(START_AT + seconds);

  it('change without an outage: both are taken while both are live, each until its last second', async () => {
    at(0);
    const old = await idproxy.register({});
    const { body, headers } = await add(old.clientId, { retireOthersInSeconds: 60 });
    assert.match(body.clientSecret, /^[\w+/]{43}=$/);
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('location'), keysOf(old.clientId, `/${body.kid}`));
    const next: Signer = { ...old, key: body.clientSecret };
    assert.deepEqual([await exchange(old), await exchange(next)], [200, 200]);
    at(59.9);
    assert.deepEqual([await exchange(old), await exchange(next)], [200, 200]);
    at(60);
    assert.deepEqual([await exchange(old), await exchange(next)], [401, 200]);
    assert.ok(!JSON.stringify(await list(old.clientId)).includes('ecret":"'));
  });

  it('begin when they are said to begin', async () => {
    at(0);
    const old = await idproxy.register({});
    const { body } = await add(old.clientId, { activatesInSeconds: 100, retireOthersInSeconds: 200 });
    const next: Signer = { ...old, key: body.clientSecret };
    assert.equal(body.activatesAt, new Date((START_AT + 100) * 1000).toISOString());
    const seen: Record<number, number[]> = {};
    for (const second of [0, 99.9, 100, 199.9, 200]) {
      at(second);
      seen[second] = [await exchange(old), await exchange(next)];
    }
    assert.deepEqual(seen, { 0: [200, 401], 99.9: [200, 401], 100: [200, 200], 199.9: [200, 200], 200: [401, 200] });
  });

  it('are picked by a kid that is one of them, and all tried with another one', async () => {
    at(0);
    const old = await idproxy.register({});
    const { body } = await add(old.clientId);
    const next: Signer = { ...old, key: body.clientSecret };
    const [first, second] = (await list(old.clientId)).map(({ kid }) => kid);
    const other = await idproxy.register({});
    const [foreign] = (await list(other.clientId)).map(({ kid }) => kid);
    const KIDS: Readonly<Record<string, readonly [unknown, number, number]>> = {
      absent: [undefined, 200, 200],
      'of the old key': [first, 200, 401],
      'of the new key': [second, 401, 200],
      "the customer's own": ['2024-01', 200, 200],
      'of another app': [foreign, 200, 200],
      'a number': [7, 200, 200],
      'a member of Object.prototype': ['__proto__', 200, 200],
    };
    for (const [name, [kid, forOld, forNext]] of Object.entries(KIDS)) {
      assert.deepEqual([await exchange(old, { kid }), await exchange(next, { kid })], [forOld, forNext], name);
    }
    assert.equal(await exchange({ ...old, key: other.key }, { kid: foreign }), 401);
  });

  it('are not taken by the kid of one that has ended', async () => {
    at(0);
    const old = await idproxy.register({});
    const { body } = await add(old.clientId, { retireOthersInSeconds: 10 });
    const [first] = (await list(old.clientId)).map(({ kid }) => kid);
    at(10);
    assert.equal(await exchange({ ...old, key: body.clientSecret }, { kid: first }), 401);
    assert.equal(await exchange(old, { kid: first }), 401);
  });

  it('are two at most, and one that has ended makes room', async () => {
    at(0);
    const { clientId } = await idproxy.register({});
    await add(clientId, { activatesInSeconds: 100, retireOthersInSeconds: 200 });
    assertRefused(await idproxy.admin('POST', keysOf(clientId), {}), 409, /has 2 keys that are not retired/);
    at(200);
    await add(clientId);
    assert.equal((await list(clientId)).length, 2);
  });

  it('end no later than they were to end, whatever another one says', async () => {
    at(0);
    const old = await idproxy.register({});
    const first = await add(old.clientId);
    const [kid] = (await list(old.clientId)).map((key) => String(key['kid']));
    await idproxy.admin('PATCH', keysOf(old.clientId, `/${kid}`), { retiresInSeconds: 30 });
    at(20);
    assert.equal((await idproxy.admin('DELETE', keysOf(old.clientId, `/${first.body.kid}`))).status, 409);
    await idproxy.admin('PATCH', keysOf(old.clientId, `/${kid}`), { retiresAt: null });
    assert.equal((await idproxy.admin('DELETE', keysOf(old.clientId, `/${first.body.kid}`))).status, 204);
    const document = await idproxy.store.documents.get('apps', old.clientId);
    const body = JSON.parse(document?.body ?? '') as { keys: Json[] };
    const keys = body.keys.map((key) => ({ ...key, retiresAt: START_AT + 30 }));
    const ending = JSON.stringify({ ...body, keys });
    assert.ok(await idproxy.store.documents.update('apps', old.clientId, ending, document?.revision ?? 0));
    await add(old.clientId, { retireOthersInSeconds: 60 });
    assert.equal((await list(old.clientId))[0]?.['retiresAt'], new Date((START_AT + 30) * 1_000).toISOString());
  });

  it('go at once when they are deleted', async () => {
    at(0);
    const old = await idproxy.register({});
    const { body } = await add(old.clientId);
    const [first] = (await list(old.clientId)).map(({ kid }) => kid);
    assert.equal((await idproxy.admin('DELETE', keysOf(old.clientId, `/${String(first)}`))).status, 204);
    assert.deepEqual([await exchange(old), await exchange({ ...old, key: body.clientSecret })], [401, 200]);
    assertRefused(await idproxy.admin('DELETE', keysOf(old.clientId, `/${String(first)}`)), 404, /no such key/);
  });

  it('never leave an app without one', async () => {
    at(0);
    const one = await idproxy.register({});
    const [only] = (await list(one.clientId)).map(({ kid }) => String(kid));
    const GAPS: Readonly<Record<string, readonly [string, string, Json, RegExp]>> = {
      'the last is deleted': ['DELETE', `/${only}`, {}, /without a key, now/],
      'the last is to end': ['PATCH', `/${only}`, { retiresInSeconds: DAY }, /without a key, from 2026-01-02T/],
      'the last ends now': ['PATCH', `/${only}`, { retiresInSeconds: 0 }, /without a key, now/],
      'the others end before the new one begins': [
        'POST',
        '',
        { activatesInSeconds: 100, retireOthersInSeconds: 99 },
        /without a key, from 2026-01-01T00:01:39/,
      ],
    };
    for (const [method, rest, body, msg] of Object.values(GAPS)) {
      const sent = method === 'DELETE' ? undefined : body;
      assertRefused(await idproxy.admin(method, keysOf(one.clientId, rest), sent), 409, msg);
    }
    await add(one.clientId, { activatesInSeconds: 100 });
    assertRefused(await idproxy.admin('DELETE', keysOf(one.clientId, `/${only}`)), 409, /without a key, now/);
    assert.equal(await exchange(one), 200);
  });

  it('end when they are said to end, and that may be taken back', async () => {
    at(0);
    const old = await idproxy.register({});
    await add(old.clientId);
    const [first] = (await list(old.clientId)).map(({ kid }) => String(kid));
    const patch = (body: Json): Promise<Answer> => idproxy.admin('PATCH', keysOf(old.clientId, `/${first}`), body);
    const retiresAt = new Date((START_AT + 30) * 1000).toISOString();
    assert.equal((await patch({ retiresAt })).body.retiresAt, retiresAt);
    assert.equal(
      (await patch({ retiresInSeconds: 40 })).body.retiresAt,
      new Date((START_AT + 40) * 1000).toISOString(),
    );
    assert.equal((await patch({ retiresAt: null })).body.retiresAt, undefined);
    at(DAY);
    assert.equal(await exchange(old), 200);
    for (const body of [
      {},
      { retiresAt: 'soon' },
      { retiresInSeconds: -1 },
      { retiresAt: null, retiresInSeconds: 1 },
      { kid: 'k' },
    ]) {
      assert.equal((await patch(body)).status, 400, JSON.stringify(body));
    }
  });

  it('are public ones where the algorithm wants them', async () => {
    at(0);
    const old = await idproxy.register({ algorithm: 'RS256' });
    const pair = createRsaPair();
    const { body } = await add(old.clientId, { publicKey: pair.publicKey, retireOthersInSeconds: 60 });
    assert.deepEqual([body.kind, body.publicKey, body.clientSecret], ['publicKey', pair.publicKey, undefined]);
    const next: Signer = { ...old, key: pair.privateKey };
    assert.deepEqual([await exchange(old), await exchange(next)], [200, 200]);
    const { body: shown } = await idproxy.admin('GET', `/admin/apps/${old.clientId}`);
    assert.equal(shown.publicKey, pair.publicKey);
    at(60);
    assert.deepEqual([await exchange(old), await exchange(next)], [401, 200]);
  });

  it('are refused where they do not fit, in words', async () => {
    at(0);
    const [hmac, rsa] = [await idproxy.register({}), await idproxy.register({ algorithm: 'RS256' })];
    const { publicKey, privateKey } = createRsaPair();
    const WRONG: Readonly<Record<string, readonly [Signer, Json, RegExp]>> = {
      'a public key for HS256': [hmac, { publicKey }, /signed with a secret/],
      'a URL for HS256': [hmac, { jwksUrl: 'https://keys.example.com/' }, /signed with a secret/],
      'a secret of their own': [hmac, { clientSecret: 'x'.repeat(44) }, /clientSecret/],
      'none for RS256': [rsa, {}, /needs one, or "jwksUrl"/],
      'both for RS256': [rsa, { publicKey, jwksUrl: 'https://keys.example.com/' }, /send one of them/],
      'a private key': [rsa, { publicKey: privateKey }, /this is a private key/],
      http: [rsa, { jwksUrl: 'http://keys.example.com/' }, /must be https/],
      'a user in the URL': [rsa, { jwksUrl: 'https://a:b@keys.example.com/' }, /without user/],
      'a fragment': [rsa, { jwksUrl: 'https://keys.example.com/#a' }, /fragment/],
      'an address in decimal': [rsa, { jwksUrl: 'https://2130706433/' }, /plain host/],
      'a file': [rsa, { jwksUrl: 'file:///etc/passwd' }, /https/],
      'a start in the past': [hmac, { activatesInSeconds: -1 }, /activatesInSeconds/],
    };
    for (const [name, [{ clientId }, body, msg]] of Object.entries(WRONG)) {
      const answer = await idproxy.admin('POST', keysOf(clientId), body);
      assert.equal(answer.status, 400, name);
      assert.match(answer.body.errors[0].msg, msg, name);
    }
    assertRefused(await idproxy.admin('GET', keysOf('cs-none')), 404, /no app has this client id/);
    assertRefused(await idproxy.admin('POST', keysOf('cs-none'), {}), 404, /no app has this client id/);
    assert.equal((await idproxy.request(keysOf(hmac.clientId))).status, 401, 'without the admin token');
    assert.equal((await idproxy.admin('PUT', keysOf(hmac.clientId), {})).status, 405);
  });

  it('are all replaced at once by PATCH of the app, as ever', async () => {
    at(0);
    const old = await idproxy.register({ algorithm: 'RS256' });
    const [second, third] = [createRsaPair(), createRsaPair()];
    await add(old.clientId, { publicKey: second.publicKey });
    await idproxy.admin('PATCH', `/admin/apps/${old.clientId}`, { publicKey: third.publicKey });
    const statuses = [old.key, second.privateKey, third.privateKey].map((key) => exchange({ ...old, key }));
    assert.deepEqual(await Promise.all(statuses), [401, 401, 200]);
  });

  it('of an app that was stored before it could have several are read, kept and changed', async () => {
    at(0);
    const old = await idproxy.register({});
    const document = await idproxy.store.documents.get('apps', old.clientId);
    const { keys: _, ...members } = JSON.parse(document?.body ?? '') as Json;
    const sealedSecret = idproxy.vault.seal(old.key, `app-secret:${old.clientId}`);
    const body = JSON.stringify({ ...members, sealedSecret });
    assert.ok(await idproxy.store.documents.update('apps', old.clientId, body, document?.revision ?? 0));
    assert.equal(await exchange(old), 200);
    assert.deepEqual(
      (await list(old.clientId)).map(({ kid, kind }) => [kid, kind]),
      [['k-first', 'secret']],
    );
    const added = await add(old.clientId, { retireOthersInSeconds: 60 });
    const next: Signer = { ...old, key: added.body.clientSecret };
    assert.deepEqual([await exchange(old), await exchange(next)], [200, 200]);
    assert.equal(await exchange(old, { kid: 'k-first' }), 200);
    at(60);
    assert.deepEqual([await exchange(old), await exchange(next)], [401, 200]);
  });

  it('open for their app and key alone: a sealed secret that was moved is no key', async () => {
    at(0);
    const [mine, theirs] = [await idproxy.register({}), await idproxy.register({})];
    await add(mine.clientId);
    const read = async (clientId: string) => {
      const document = await idproxy.store.documents.get('apps', clientId);
      return { revision: document?.revision ?? 0, body: JSON.parse(document?.body ?? '') as { keys: Json[] } };
    };
    const { body: from } = await read(theirs.clientId);
    const { body, revision } = await read(mine.clientId);
    const [first, second] = body.keys;
    const MOVED: Readonly<Record<string, readonly Json[]>> = {
      'from another app': [{ ...first, sealedSecret: from.keys[0]?.['sealedSecret'] }],
      'with its id from another app': from.keys,
      'from another key of the app': [{ ...first, sealedSecret: second?.['sealedSecret'] }],
    };
    let current = revision;
    for (const [name, keys] of Object.entries(MOVED)) {
      await idproxy.store.documents.update('apps', mine.clientId, JSON.stringify({ ...body, keys }), current++);
      const claims = createClaims(mine.clientId, START_AT);
      const answer = await idproxy.authorize(signToken({ alg: 'HS256' }, claims, 'HS256', theirs.key));
      assert.equal(answer.status, 500, name);
    }
  });
});
