import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '../../../src/core/clock.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import { assertRefused, startAdmin } from '../admin-under-test.ts';

/** A name that no line of a log may hold. */
const SUBJECT = 'alice.with.a.name@example.com';
const NOBODY = 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11';

/** Every route, with a body where it takes one. */
const ROUTES: readonly (readonly [method: string, path: string, body?: object])[] = [
  ['GET', '/admin/identities?clientId=cs-1'],
  ['POST', '/admin/identities', { clientId: 'cs-1', subject: SUBJECT }],
  ['POST', '/admin/identities/look-up', { clientId: 'cs-1', subject: SUBJECT }],
  ['GET', `/admin/identities/${NOBODY}`],
  ['GET', `/admin/identities/${NOBODY}/export`],
  ['DELETE', `/admin/identities/${NOBODY}`],
];

describe('the admin view of users', () => {
  it('is for the admin alone, and for no page', async (t) => {
    const admin = await startAdmin(t);
    for (const [method, path, body] of ROUTES) {
      for (const authorization of ['', 'Bearer nonsense', `Basic ${btoa(`admin:${admin.token}`)}`]) {
        const refused = await admin.send(method, path, body, { authorization });
        assertRefused(refused, 401, /a credential is missing|the credential is not valid/);
      }
      const answer = await admin.send(method, path, body, { origin: 'http://page.example' });
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      assert.notEqual(answer.status, 401);
    }
  });

  it('says which methods there are', async (t) => {
    const admin = await startAdmin(t);
    const allowed = {
      '/admin/identities': 'GET, POST',
      '/admin/identities/look-up': 'POST',
      [`/admin/identities/${NOBODY}`]: 'GET, DELETE',
      [`/admin/identities/${NOBODY}/export`]: 'GET',
    };
    for (const [path, allow] of Object.entries(allowed)) {
      const { status, headers } = await admin.send('PUT', path);
      assert.deepEqual([status, headers.get('allow')], [405, allow]);
    }
    for (const path of ['/ADMIN/identities', '/admin/Identities', `/admin/identities/${NOBODY}/exports`])
      assert.equal((await admin.send('GET', path)).status, 404);
  });

  it('counts with the other admin routes', async (t) => {
    const admin = await startAdmin(t, { rateLimitPerMinute: 2 });
    for (const path of ['/admin/apps', `/admin/identities/${NOBODY}`]) await admin.send('GET', path);
    const limited = await admin.send('GET', `/admin/identities/${NOBODY}`);
    assertRefused(limited, 429, /too many requests/);
  });

  it('writes down every act and never a name', async (t) => {
    const admin = await startAdmin(t);
    const { clientId } = await admin.create();
    const registered = await admin.send('POST', '/admin/identities', { clientId, subject: SUBJECT });
    const userId = String(registered.body['userId']);
    await admin.send('GET', `/admin/identities?clientId=${clientId}`);
    await admin.send('POST', '/admin/identities/look-up', { clientId, subject: SUBJECT });
    await admin.send('GET', `/admin/identities/${userId}`);
    await admin.send('GET', `/admin/identities/${userId}/export`);
    await admin.send('DELETE', `/admin/identities/${userId}`);
    // Nothing was done: the line of the request is enough.
    for (const [method, path, body] of ROUTES.slice(1))
      assert.equal((await admin.send(method, path, body)).status, 404);
    await admin.send('POST', '/admin/identities', { clientId, subject: `${SUBJECT}\n` });
    const acts = admin.lines().filter(({ msg }) => msg === 'admin act');
    assert.deepEqual(
      acts.map(({ act, clientId: of, userId: whose, level }) => [act, of, whose, level]),
      [
        ['app created', clientId, undefined, 30],
        ['user registered', clientId, userId, 30],
        ['users listed', clientId, undefined, 30],
        ['user looked up', clientId, userId, 30],
        ['user shown', clientId, userId, 30],
        ['user exported', clientId, userId, 30],
        ['user erased', clientId, userId, 30],
      ],
    );
    assert.deepEqual(Object.keys(acts[1] ?? {}).sort(), ['act', 'clientId', 'level', 'msg', 'time', 'userId']);
    const log = JSON.stringify(admin.lines());
    for (const secret of [SUBJECT, 'alice.with', admin.token]) assert.ok(!log.includes(secret), secret);
  });

  it('a store that holds something else than a user: the log does not quote it', async (t) => {
    const admin = await startAdmin(t);

    const store = createEmbeddedStore({ path: `${admin.folder}/countersign.db`, clock: systemClock });
    t.after(() => store.close());
    const id = NOBODY.slice(2);
    const stored = { id, owner: 'cs-1', isKept: true, body: SUBJECT, incarnation: 'i', conversation: 'c' };
    assert.ok(await store.identities.create(stored));
    assertRefused(await admin.send('GET', `/admin/identities/${NOBODY}`), 500, /^internal error$/);
    const log = JSON.stringify(admin.lines());
    assert.ok(log.includes('a stored identity cannot be read'));
    assert.ok(!log.includes('alice'), log);
  });
});
