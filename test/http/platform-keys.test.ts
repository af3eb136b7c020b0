import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertRefused, startAdmin } from './admin-under-test.ts';

interface Key {
  readonly kid: string;
  readonly use: string;
  readonly state: string;
  readonly retiresAt?: string;
}

describe('/admin/keys', () => {
  it('lists, makes, ends and deletes keys; a log line for each act; nothing of a private key', async (t) => {
    const admin = await startAdmin(t);
    const list = async (): Promise<readonly Key[]> =>
      (await admin.send('GET', '/admin/keys')).body['keys'] as readonly Key[];
    const jwks = async (): Promise<readonly { kid: string; use: string }[]> =>
      ((await (await fetch(`${admin.url}/.well-known/jwks.json`)).json()) as { keys: { kid: string; use: string }[] })
        .keys;
    const [first] = await list();
    assert.ok(first);
    assert.deepEqual([first.use, first.state], ['enc', 'current']);

    const made = await admin.send('POST', '/admin/keys', { use: 'enc', activatesInSeconds: 0 });
    assert.equal(made.status, 201, made.text);
    const second = made.body as unknown as Key;
    assert.equal(second.state, 'current');
    const signing = await admin.send('POST', '/admin/keys', { use: 'sig' });
    assert.equal(signing.status, 201);
    assert.deepEqual(
      (await list()).map(({ use, state }) => [use, state]),
      [
        ['enc', 'current'],
        ['enc', 'former'],
        ['sig', 'current'],
      ],
    );
    assert.deepEqual(
      (await jwks()).map(({ kid }) => kid),
      [second.kid, first.kid, signing.body['kid']],
    );
    for (const key of await jwks()) assert.equal('d' in key, false);

    const ended = await admin.send('PATCH', `/admin/keys/${first.kid}`, { retiresInSeconds: 60 });
    assert.equal(ended.status, 200, ended.text);
    assert.ok(Date.parse(String(ended.body['retiresAt'])) - Date.now() < 61_000);
    assert.equal((await admin.send('DELETE', `/admin/keys/${first.kid}`)).status, 204);
    assert.deepEqual(
      (await jwks()).map(({ kid }) => kid),
      [second.kid, signing.body['kid']],
    );
    const acts = admin.lines().filter(({ msg }) => msg === 'admin act');
    assert.deepEqual(
      acts.map(({ act }) => act),
      ['platform key made', 'platform key made', 'platform key retired', 'platform key deleted'],
    );
    for (const text of [made.text, signing.text, JSON.stringify(admin.lines())])
      assert.doesNotMatch(text, /PRIVATE|sealedKey|v1\.[\da-f]{8}\./);
  });

  it('refuses what is wrong', async (t) => {
    const admin = await startAdmin(t);
    const { keys } = (await admin.send('GET', '/admin/keys')).body as unknown as { keys: readonly Key[] };
    const only = keys[0]?.kid ?? '';
    const cases: Record<string, [string, string, object | undefined, number, RegExp]> = {
      'no use': ['POST', '/admin/keys', {}, 400, /"use"/],
      'an unknown use': ['POST', '/admin/keys', { use: 'kem' }, 400, /"use"/],
      'a negative time': ['POST', '/admin/keys', { use: 'enc', activatesInSeconds: -1 }, 400, /activatesInSeconds/],
      'a time of years': ['POST', '/admin/keys', { use: 'enc', activatesInSeconds: 1e9 }, 400, /activatesInSeconds/],
      'a key of its own': ['POST', '/admin/keys', { use: 'enc', key: 'x' }, 400, /"key"/],
      'no time to end': ['PATCH', `/admin/keys/${only}`, {}, 400, /retiresInSeconds/],
      'the last one ended': ['PATCH', `/admin/keys/${only}`, { retiresInSeconds: 0 }, 409, /is the last one/],
      'the last one deleted': ['DELETE', `/admin/keys/${only}`, undefined, 409, /is the last one/],
      'a key that is not there, ended': ['PATCH', '/admin/keys/x', { retiresInSeconds: 0 }, 404, /no key of this id/],
      'a key that is not there, deleted': ['DELETE', '/admin/keys/x', undefined, 404, /no key of this id/],
      'another method': ['PUT', '/admin/keys', {}, 405, /use GET, POST/],
    };
    for (const [method, path, body, status, msg] of Object.values(cases)) {
      const answer = await admin.send(method, path, body);
      assertRefused(answer, status, msg);
    }
    const nobody = { authorization: 'Bearer nonsense' };
    for (const [method, path] of Object.values(cases))
      assertRefused(await admin.send(method, path, undefined, nobody), 401, /the credential is not valid/);
  });
});
