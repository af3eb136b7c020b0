import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';

import { RSA_PRIVATE, RSA_SPKI } from './admin-keys.ts';
import { type AdminAnswer, assertRefused, AUDIENCES, startAdmin } from './admin-under-test.ts';

describe('the admin API', () => {
  const TOKENS: Readonly<Record<string, { authorization: string; msg: RegExp }>> = {
    'no token': { authorization: '', msg: /a credential is missing/ },
    'another scheme': { authorization: 'Basic YTpi', msg: /a credential is missing/ },
    'a wrong token': { authorization: `Bearer ${'x'.repeat(43)}`, msg: /the credential is not valid/ },
    'a short token': { authorization: 'Bearer x', msg: /the credential is not valid/ },
  };
  for (const [name, { authorization, msg }] of Object.entries(TOKENS)) {
    it(`is closed to ${name}`, async (t) => {
      const admin = await startAdmin(t);
      const { clientId } = await admin.create();
      for (const path of ['/admin/apps', `/admin/apps/${clientId}`, '/admin', '/admin/none', '/admin/apps/']) {
        for (const method of ['GET', 'POST', 'PATCH', 'DELETE', 'PUT', 'OPTIONS']) {
          const answer = await admin.send(method, path, method === 'GET' ? undefined : {}, {
            authorization,
            origin: 'http://page.example',
          });
          assertRefused(answer, 401, msg);
          assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer realm="countersign"/);
          assert.equal(answer.headers.get('access-control-allow-origin'), null);
        }
      }
      assert.equal((await admin.send('GET', `/admin/apps/${clientId}`)).status, 200);
    });
  }

  it('is limited by 429', async (t) => {
    const admin = await startAdmin(t, { rateLimitPerMinute: 2 });
    const statuses = [];
    for (let index = 0; index < 3; index++)
      statuses.push((await admin.send('GET', '/admin/apps', undefined, { authorization: 'Bearer x' })).status);
    assert.deepEqual(statuses, [401, 401, 429]);
  });

  it('writes who was made, changed and deleted, and no secret', async (t) => {
    const admin = await startAdmin(t);
    const { clientId, clientSecret } = await admin.create();
    await admin.send('PATCH', `/admin/apps/${clientId}`, { enabled: false });
    await admin.send('DELETE', `/admin/apps/${clientId}`);
    const acts = admin.lines().filter(({ msg }) => msg === 'admin act');
    assert.deepEqual(
      acts.map((line) => [line['act'], line['clientId']]),
      [
        ['app created', clientId],
        ['app updated', clientId],
        ['app deleted', clientId],
      ],
    );
    assert.ok(!JSON.stringify(admin.lines()).includes(String(clientSecret)));
    assert.ok(!JSON.stringify(admin.lines()).includes(admin.token));
  });

  it('keeps secrets and private keys out of the database files in clear', async (t) => {
    const admin = await startAdmin(t);
    const app = await admin.create({ name: 'named in clear', algorithm: 'HS512' });
    const secret = String(app['clientSecret']);
    const token = jsonwebtoken.sign({ aud: AUDIENCES[0], iss: app.clientId, sub: 'alice', jti: 'j-1' }, secret, {
      algorithm: 'HS512',
      expiresIn: 60,
    });
    const { status, body } = await admin.send('POST', '/authorize', { assertion: token });
    assert.equal(status, 200);
    const names = (await readdir(admin.folder)).filter((name) => name.startsWith('countersign.db'));
    assert.ok(names.length >= 2, names.join());
    const bytes = Buffer.concat(await Promise.all(names.map((name) => readFile(join(admin.folder, name)))));
    assert.ok(bytes.includes('named in clear'), 'the files hold the app');
    for (const hidden of [secret, String(body['access_token']), token, 'PRIVATE KEY'])
      assert.ok(!bytes.includes(hidden), hidden.slice(0, 8));
    for (const hidden of [Buffer.from(secret, 'base64'), Buffer.from(secret).toString('base64url')])
      assert.ok(!bytes.includes(hidden));
  });

  it('obeys a change at once, for a token of each algorithm', async (t) => {
    const admin = await startAdmin(t);
    for (const algorithm of ['HS256', 'HS512', 'RS256', 'RS512'] as const) {
      const isRsa = algorithm.startsWith('RS');
      const { clientId, clientSecret } = await admin.create({
        name: 'a',
        algorithm,
        ...(isRsa && { publicKey: RSA_SPKI }),
      });
      const exchange = (jti: string): Promise<AdminAnswer> => {
        const key = isRsa ? RSA_PRIVATE : String(clientSecret);
        const assertion = jsonwebtoken.sign({ aud: AUDIENCES[0], iss: clientId, sub: 'alice', jti }, key, {
          algorithm,
          expiresIn: 60,
        });
        return admin.send('POST', '/authorize', { assertion });
      };
      const granted = await exchange('1');
      assert.equal(granted.status, 200, granted.text);
      const authorization = `Bearer ${String(granted.body['access_token'])}`;
      const who = async (): Promise<number> =>
        (await admin.send('GET', '/api/1.1/userinfo', undefined, { authorization })).status;
      assert.equal(await who(), 200);
      await admin.send('PATCH', `/admin/apps/${clientId}`, { enabled: false });
      assertRefused(await exchange('2'), 401, /this client is disabled/);
      assert.equal(await who(), 403);
      await admin.send('PATCH', `/admin/apps/${clientId}`, { enabled: true });
      assert.equal((await exchange('2')).status, 200);
      await admin.send('DELETE', `/admin/apps/${clientId}`);
      assertRefused(await exchange('3'), 401, /not signed or encrypted by a known client/);
      // Its users are erased with it, and their sessions with them.
      assert.equal(await who(), 401);
    }
  });

  it('is obeyed soon by another process on the same folder', async (t) => {
    const one = await startAdmin(t);
    const other = await startAdmin(t, { folder: one.folder });
    const { clientId, clientSecret } = await one.create();
    const exchange = (jti: string): Promise<AdminAnswer> =>
      other.send('POST', '/authorize', {
        assertion: jsonwebtoken.sign({ aud: AUDIENCES[0], iss: clientId, sub: 'a', jti }, String(clientSecret), {
          expiresIn: 60,
        }),
      });
    assert.equal((await exchange('first')).status, 200);
    const startedAt = performance.now();
    await one.send('PATCH', `/admin/apps/${clientId}`, { enabled: false });
    let count = 0;
    while ((await exchange(`n-${count++}`)).status === 200)
      assert.ok(performance.now() - startedAt < 1_000, 'within a second');
    assert.ok(count > 0);
  });

  it('under another master key grants nothing, and says so in readiness', async (t) => {
    const one = await startAdmin(t);
    const { clientId, clientSecret } = await one.create();
    const other = await startAdmin(t, { folder: one.folder, masterKey: Buffer.alloc(32, 9) });
    const assertion = jsonwebtoken.sign(
      { aud: AUDIENCES[0], iss: clientId, sub: 'a', jti: '1' },
      String(clientSecret),
      { expiresIn: 60 },
    );
    const refused = await other.send('POST', '/authorize', { assertion });
    assert.ok([500, 503].includes(refused.status), refused.text);
    assert.doesNotMatch(refused.text, /access_token|master|seal/);
    const ready = await other.send('GET', '/readyz');
    assert.equal(ready.status, 503);
    const checks = ready.body['checks'] as Record<string, string>;
    assert.equal(checks['store'], 'ok');
    assert.match(checks['keys'] ?? '', /master key/);
    assert.ok([500, 503].includes((await other.send('POST', '/admin/apps', { name: 'b', algorithm: 'HS256' })).status));
    assert.equal((await one.send('POST', '/authorize', { assertion })).status, 200);
  });
});
