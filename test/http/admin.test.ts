import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { REFUSED_KEYS, RSA_SPKI, TAKEN_KEYS } from './admin-keys.ts';
import { assertRefused, AUDIENCES, startAdmin } from './admin-under-test.ts';

/** What an app has that says nothing but its name and algorithm. */
const DEFAULTS = {
  enforceJti: false,
  jwe: { required: false, algs: ['RSA-OAEP'], encs: ['A128CBC-HS256', 'A128GCM', 'A256GCM'] },
  allowAnonymous: false,
  autoRegister: true,
  merge: { allowKnown: false, requireProof: false },
  requireSecureRtm: false,
  requireDpop: false,
  accessTokenFormat: 'opaque',
  idJag: null,
  audiences: AUDIENCES,
  bots: [],
  enabled: true,
  maxLifetimeSeconds: 86_400,
  bearerLifetimeSeconds: 3_600,
  clockToleranceSeconds: 15,
  reuseWindowSeconds: 0,
  exchangesPerMinute: 0,
};

const SECRET_LENGTHS = { HS256: 44, HS512: 88, RS256: 0, RS512: 0 } as const;

describe('registration', () => {
  for (const [algorithm, length] of Object.entries(SECRET_LENGTHS)) {
    it(`makes an app with the documented defaults: ${algorithm}`, async (t) => {
      const admin = await startAdmin(t);
      const publicKey = length === 0 ? RSA_SPKI : undefined;
      const answer = await admin.send('POST', '/admin/apps', { name: ' Web chat ', algorithm, publicKey });
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      const { clientId, clientSecret, jwk, createdAt, updatedAt, keys: ownKeys, ...rest } = answer.body;
      assert.match(String(clientId), /^cs-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.equal(answer.headers.get('location'), `/admin/apps/${String(clientId)}`);
      assert.deepEqual(rest, { name: 'Web chat', algorithm, ...(publicKey && { publicKey }), ...DEFAULTS });
      const [{ kid, ...ownKey }] = ownKeys as [{ kid: string }];
      assert.match(kid, /^k-[\w-]{16}$/);
      const kind = publicKey ? { kind: 'publicKey', publicKey } : { kind: 'secret' };
      assert.deepEqual(ownKey, { ...kind, createdAt, activatesAt: createdAt });
      assert.equal(createdAt, updatedAt);
      assert.ok(Math.abs(Date.parse(String(createdAt)) - Date.now()) < 10_000);
      if (length === 0) assert.equal(clientSecret, undefined);
      else assert.match(String(clientSecret), new RegExp(`^[A-Za-z0-9+/]{${length - 2}}[A-Za-z0-9+/=]=$`));
      const { keys } = (await admin.send('GET', '/.well-known/jwks.json')).body as { keys: object[] };
      assert.deepEqual(keys, [jwk]);
      assert.deepEqual(Object.keys(jwk as object).sort(), ['e', 'kid', 'kty', 'n', 'use']);

      const shown = await admin.send('GET', `/admin/apps/${String(clientId)}`);
      assert.deepEqual(shown.body, { clientId, createdAt, updatedAt, keys: ownKeys, ...rest });
      assert.deepEqual((await admin.send('GET', '/admin/apps')).body, { apps: [shown.body] });
    });
  }

  it('makes another secret and client id each time', async (t) => {
    const admin = await startAdmin(t);
    const made = await Promise.all(Array.from({ length: 5 }, () => admin.create()));
    assert.equal(new Set(made.map(({ clientId }) => clientId)).size, 5);
    assert.equal(new Set(made.map((app) => app['clientSecret'])).size, 5);
  });

  for (const [name, { publicKey, shown }] of Object.entries(TAKEN_KEYS)) {
    it(`takes a public key: ${name}`, async (t) => {
      const admin = await startAdmin(t);
      const app = await admin.create({ name: 'a', algorithm: 'RS512', publicKey });
      assert.equal(app['publicKey'], shown);
      const patched = await admin.send('PATCH', `/admin/apps/${app.clientId}`, { publicKey });
      assert.equal(patched.body['publicKey'], shown);
    });
  }

  it('refuses other keys and says why', async (t) => {
    const admin = await startAdmin(t);
    const { clientId } = await admin.create({ name: 'a', algorithm: 'RS256', publicKey: RSA_SPKI });
    for (const [name, { publicKey, msg }] of Object.entries(REFUSED_KEYS)) {
      await t.test(name, async () => {
        const created = await admin.send('POST', '/admin/apps', { name: 'a', algorithm: 'RS256', publicKey });
        assertRefused(created, 400, msg);
        assert.doesNotMatch(created.text, /BEGIN|MII/);
        if (publicKey !== undefined)
          assertRefused(await admin.send('PATCH', `/admin/apps/${clientId}`, { publicKey }), 400, msg);
      });
    }
    assert.equal(((await admin.send('GET', '/admin/apps')).body['apps'] as unknown[]).length, 1);
    assert.equal((await admin.send('GET', `/admin/apps/${clientId}`)).body['publicKey'], RSA_SPKI);
  });

  it('refuses a public key for an algorithm with a secret', async (t) => {
    const admin = await startAdmin(t);
    assertRefused(
      await admin.send('POST', '/admin/apps', { name: 'a', algorithm: 'HS256', publicKey: RSA_SPKI }),
      400,
      /made here/,
    );
    const { clientId } = await admin.create();
    assertRefused(await admin.send('PATCH', `/admin/apps/${clientId}`, { publicKey: RSA_SPKI }), 400, /made here/);
  });
});

/** Members that are taken at their bounds and refused beyond. */
const BOUNDS: Readonly<Record<string, { taken: readonly unknown[]; refused: readonly unknown[] }>> = {
  name: { taken: ['a', 'x'.repeat(128)], refused: ['', '   ', 'x'.repeat(129), 5, null, ['a']] },
  enforceJti: { taken: [true, false], refused: ['true', 1, null] },
  allowAnonymous: { taken: [true], refused: ['false', 0] },
  autoRegister: { taken: [false], refused: ['', {}] },
  enabled: { taken: [false, true], refused: ['true', null] },
  audiences: {
    taken: [['a'], Array.from({ length: 16 }, (_, index) => `a${index}`), ['x'.repeat(1_024)]],
    refused: [[], 'a', [''], [5], ['x'.repeat(1_025)], Array.from({ length: 17 }, () => 'a')],
  },
  bots: {
    taken: [[], ['st-1'], Array.from({ length: 100 }, (_, index) => `b${index}`)],
    refused: ['st-1', [''], ['x'.repeat(129)], Array.from({ length: 101 }, () => 'b')],
  },
  maxLifetimeSeconds: { taken: [60, 2_592_000], refused: [59, 2_592_001, 60.5, '60', -1, 1e300, null] },
  bearerLifetimeSeconds: { taken: [60, 2_592_000], refused: [59, 2_592_001, 0, '3600'] },
  clockToleranceSeconds: { taken: [0, 300], refused: [-1, 301, 0.5, '15'] },
  reuseWindowSeconds: { taken: [0, 3_600], refused: [-1, 3_601, true] },
  exchangesPerMinute: { taken: [0, 10_000_000], refused: [-1, 10_000_001, 0.5, '3'] },
  jwe: {
    taken: [
      { required: true, algs: ['RSA-OAEP'], encs: ['A256GCM'] },
      { required: false, algs: ['RSA-OAEP', 'RSA1_5'], encs: ['A256GCM'] },
    ],
    refused: [
      { required: 'true' },
      { algs: [] },
      { algs: ['none'] },
      { algs: ['RSA-OAEP-256'] },
      { encs: ['A192GCM'] },
      { encs: 'A256GCM' },
      { other: 1 },
      [],
      'A256GCM',
      true,
    ],
  },
};

describe('a member of an app', () => {
  for (const [member, { taken, refused }] of Object.entries(BOUNDS)) {
    it(`is held within its bounds, at creation and at change: ${member}`, async (t) => {
      const admin = await startAdmin(t);
      const { clientId } = await admin.create();
      const base = { name: 'a', algorithm: 'HS256' };
      for (const value of taken) {
        assert.deepEqual((await admin.create({ ...base, [member]: value }))[member], value);
        const { status, body } = await admin.send('PATCH', `/admin/apps/${clientId}`, { [member]: value });
        assert.deepEqual([status, body[member]], [200, value]);
      }
      for (const value of refused) {
        const msg = new RegExp(`"${member}`);
        assertRefused(await admin.send('POST', '/admin/apps', { ...base, [member]: value }), 400, msg);
        assertRefused(await admin.send('PATCH', `/admin/apps/${clientId}`, { [member]: value }), 400, msg);
      }
      assert.deepEqual((await admin.send('GET', `/admin/apps/${clientId}`)).body[member], taken.at(-1));
    });
  }

  /** Registrations that are refused as a whole. */
  const REFUSED: Readonly<Record<string, { body: unknown; status?: number; msg: RegExp }>> = {
    nothing: { body: {}, msg: /"name"[^]*"algorithm"/ },
    'no algorithm': { body: { name: 'a' }, msg: /"algorithm"/ },
    'an algorithm nobody knows': { body: { name: 'a', algorithm: 'none' }, msg: /"algorithm"/ },
    'an algorithm of another family': { body: { name: 'a', algorithm: 'ES256' }, msg: /"algorithm"/ },
    'an algorithm in lower case': { body: { name: 'a', algorithm: 'hs256' }, msg: /"algorithm"/ },
    'an unknown member': { body: { name: 'a', algorithm: 'HS256', enforceJTI: true }, msg: /enforceJTI/ },
    'a client id of its own': { body: { name: 'a', algorithm: 'HS256', clientId: 'cs-1' }, msg: /clientId/ },
    'a secret of its own': { body: { name: 'a', algorithm: 'HS256', clientSecret: 'short' }, msg: /clientSecret/ },
    'a sealed secret': { body: { name: 'a', algorithm: 'HS256', sealedSecret: 'x' }, msg: /sealedSecret/ },
    __proto__: {
      body: '{"name":"a","algorithm":"HS256","__proto__":{"enabled":false}}',
      msg: /__proto__|unknown|[Uu]nrecognized/,
    },
    'a member twice': { body: '{"name":"a","algorithm":"HS256","name":"b"}', msg: /twice/ },
    'an array': { body: '[]', msg: /object/ },
    'more than fits': {
      body: { name: 'a', algorithm: 'HS256', bots: ['x'.repeat(40_000)] },
      status: 413,
      msg: /larger than 32768/,
    },
  };
  for (const [name, { body, status = 400, msg }] of Object.entries(REFUSED)) {
    it(`is refused with the rest: ${name}`, async (t) => {
      const admin = await startAdmin(t);
      assertRefused(await admin.send('POST', '/admin/apps', body), status, msg);
      assert.deepEqual((await admin.send('GET', '/admin/apps')).body, { apps: [] });
    });
  }
});

describe('a change', () => {
  it('touches what it names and nothing else', async (t) => {
    const admin = await startAdmin(t);
    const {
      clientId,
      clientSecret,
      jwk: _,
      ...before
    } = await admin.create({ name: 'a', algorithm: 'HS512', bots: ['st-1'], reuseWindowSeconds: 9 });
    const path = `/admin/apps/${clientId}`;
    const steps: readonly (readonly [object, object])[] = [
      [{ name: 'b' }, { name: 'b' }],
      [{ jwe: { required: true } }, { name: 'b', jwe: { ...DEFAULTS.jwe, required: true } }],
      [{ jwe: { encs: ['A256GCM'] } }, { name: 'b', jwe: { ...DEFAULTS.jwe, required: true, encs: ['A256GCM'] } }],
      [{ jwe: {} }, { name: 'b', jwe: { ...DEFAULTS.jwe, required: true, encs: ['A256GCM'] } }],
      [{}, { name: 'b', jwe: { ...DEFAULTS.jwe, required: true, encs: ['A256GCM'] } }],
    ];
    for (const [patch, changed] of steps) {
      const { status, body, text } = await admin.send('PATCH', path, patch);
      assert.equal(status, 200, text);
      assert.deepEqual({ ...body, updatedAt: '' }, { clientId, ...before, ...changed, updatedAt: '' });
      assert.ok(Date.parse(String(body['updatedAt'])) >= Date.parse(String(before['createdAt'])));
      assert.ok(!text.includes(String(clientSecret)));
    }
  });

  for (const member of ['algorithm', 'clientId', 'clientSecret', 'sealedSecret', 'createdAt', 'updatedAt', 'other']) {
    it(`of "${member}" is refused`, async (t) => {
      const admin = await startAdmin(t);
      const { clientId } = await admin.create();
      assertRefused(
        await admin.send('PATCH', `/admin/apps/${clientId}`, { [member]: 'HS256' }),
        400,
        new RegExp(member),
      );
    });
  }

  it('of many at once is taken from one after the other; who loses is told so', async (t) => {
    const admin = await startAdmin(t);
    const { clientId } = await admin.create();
    const bots = Array.from({ length: 8 }, (_, index) => `bot-${index}`);
    const answers = await Promise.all(
      bots.map((bot) => admin.send('PATCH', `/admin/apps/${clientId}`, { bots: [bot] })),
    );
    const statuses = new Set(answers.map(({ status }) => status));
    assert.ok(
      [...statuses].every((status) => status === 200 || status === 409),
      [...statuses].join(),
    );
    const taken = answers.filter(({ status }) => status === 200).map(({ body }) => (body['bots'] as string[])[0]);
    const [last] = (await admin.send('GET', `/admin/apps/${clientId}`)).body['bots'] as string[];
    assert.ok(taken.includes(last));
    for (const answer of answers) if (answer.status === 409) assertRefused(answer, 409, /changed by someone else/);
  });

  it('is gone with its app', async (t) => {
    const admin = await startAdmin(t);
    const { clientId } = await admin.create();
    const path = `/admin/apps/${clientId}`;
    const deleted = await admin.send('DELETE', path);
    assert.deepEqual([deleted.status, deleted.text], [204, '']);
    for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const)
      assertRefused(await admin.send(method, path, body), 404, /no app has this client id/);
    assert.deepEqual((await admin.send('GET', '/admin/apps')).body, { apps: [] });
  });

  const ODD_PATHS: Readonly<Record<string, number>> = {
    '/admin/apps/none': 404,
    '/admin/apps/__proto__': 404,
    '/admin/apps/%00': 404,
    '/admin/apps/%zz': 400,
    [`/admin/apps/${'x'.repeat(4_000)}`]: 404,
    '/admin/other': 404,
    '/admin': 404,
  };
  for (const [path, status] of Object.entries(ODD_PATHS)) {
    it(`of nothing is refused: ${path.slice(0, 30)}`, async (t) => {
      const admin = await startAdmin(t);
      for (const method of ['GET', 'DELETE']) assertRefused(await admin.send(method, path), status, /./);
    });
  }

  it('by another method is told which ones there are', async (t) => {
    const admin = await startAdmin(t);
    const { clientId } = await admin.create();
    const collection = await admin.send('PUT', '/admin/apps', {});
    assertRefused(collection, 405, /use GET, POST here/);
    assert.equal(collection.headers.get('allow'), 'GET, POST');
    const single = await admin.send('PUT', `/admin/apps/${clientId}`, {});
    assert.equal(single.headers.get('allow'), 'GET, PATCH, DELETE');
  });
});
