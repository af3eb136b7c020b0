import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { AppError } from '../../src/core/errors.ts';
import { MAX_REFUSAL_ENTRIES_PER_HOUR } from '../../src/http/audit-acts.ts';
import type { AuditStore, Store } from '../../src/stores/ports.ts';
import { until } from '../contract/attempts.ts';
import { ADMIN_TOKEN, BACKENDS, type IdproxyUnderTest, startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { connectRaw } from '../support/raw-client.ts';

interface Entry {
  readonly id: string;
  readonly at: string;
  readonly who: string;
  readonly from: string;
  readonly act: string;
  readonly target?: Record<string, string>;
  readonly requestId?: string;
  readonly outcome: string;
  readonly status?: number;
  readonly begun?: string;
  readonly count?: number;
}

const PRIVATE = 'PRIVATE-6f1d';
const NOBODY = 'u-0b63a6f0-3d3c-8f0e-9d51-7f6d2a9e4c11';

/** All entries, once there are so many. */
async function readEntries({ admin }: IdproxyUnderTest, count: number): Promise<Entry[]> {
  let entries: Entry[] = [];
  await until(async () => {
    const { status, body } = await admin('GET', '/admin/audit?limit=1000');
    assert.equal(status, 200);
    entries = (body as { entries: Entry[] }).entries;
    return entries.length >= count;
  }, `${count} entries`);
  assert.equal(entries.length, count, JSON.stringify(entries));
  return entries;
}

/** A backend whose audit trail can be made to fail. */
function createBreakable() {
  const calls: string[] = [];
  let isBroken = false;
  let gate: Promise<void> | undefined;
  const watch = (store: Store): Store => {
    const audit: AuditStore = {
      ...store.audit,
      append: async (body) => {
        calls.push('append');
        if (isBroken) throw new AppError('store_unavailable');
        await gate;
        return store.audit.append(body);
      },
    };
    const documents = {
      ...store.documents,
      insert: async (...args: Parameters<typeof store.documents.insert>) => {
        if (args[0] === 'apps') calls.push('insert');
        return store.documents.insert(...args);
      },
    };
    return { ...store, audit, documents };
  };
  return {
    calls,
    setBroken: (value: boolean) => void (isBroken = value),
    /** Holds every line from now on. @returns what lets them go */
    hold: (): (() => void) => {
      let open = (): void => undefined;
      gate = new Promise((resolve) => (open = resolve));
      return open;
    },
    open: async (clock: Parameters<typeof BACKENDS.embedded>[0]) => {
      const { store, end } = await BACKENDS.embedded(clock);
      return { store: watch(store), end };
    },
  };
}

describe('the audit of administration', () => {
  let idproxy: IdproxyUnderTest;
  const breakable = createBreakable();
  before(async () => {
    idproxy = await startIdproxyUnderTest(breakable.open);
  });
  after(() => idproxy?.close());
  let seen = 0;
  const next = async (count: number): Promise<Entry[]> => {
    const entries = (await readEntries(idproxy, seen + count)).slice(seen);
    seen += count;
    return entries;
  };

  it('has an entry before an act and one for how it ended, without the body', async () => {
    breakable.calls.length = 0;
    const { status, body } = await idproxy.admin('POST', '/admin/apps', { name: PRIVATE, algorithm: 'HS256' });
    assert.equal(status, 201);
    const [begun, done] = await next(2);
    assert.deepEqual(breakable.calls.slice(0, 3), ['append', 'insert', 'append']);
    assert.deepEqual(begun, {
      id: begun?.id,
      at: '2026-01-01T00:00:00.000Z',
      who: 'admin',
      from: '127.0.0.1',
      act: 'POST /admin/apps',
      requestId: begun?.requestId,
      outcome: 'begun',
    });
    assert.match(begun?.requestId ?? '', /^[\da-f-]{36}$/);
    const { id, ...rest } = begun as Entry;
    const { clientId, clientSecret: secret } = body as { clientId: string; clientSecret: string };
    assert.deepEqual(done, { ...rest, id: done?.id, target: { clientId }, outcome: 'done', status: 201, begun: id });
    const all = JSON.stringify(await idproxy.store.audit.list({ limit: 1_000 }));
    for (const text of [PRIVATE, secret, ADMIN_TOKEN]) assert.ok(!all.includes(text), text);
  });

  /** Acts on things that are not there: each fails, and is written all the same. */
  const ACTS: Readonly<Record<string, readonly [method: string, path: string, act: string, target?: object]>> = {
    'a change of an app': ['PATCH', '/admin/apps/cs-1', 'PATCH /admin/apps/:clientId', { clientId: 'cs-1' }],
    'a path with a slash at its end': [
      'DELETE',
      '/admin/apps/cs-1/',
      'DELETE /admin/apps/:clientId',
      { clientId: 'cs-1' },
    ],
    'two names in a path': [
      'POST',
      '/admin/connectors/cn-1/certificates/0a/revoke?b=c',
      'POST /admin/connectors/:id/certificates/:serial/revoke',
      { id: 'cn-1', serial: '0a' },
    ],
    'a fixed word where a name could stand': ['POST', '/admin/identities/look-up', 'POST /admin/identities/look-up'],
    'the export of a person': [
      'GET',
      `/admin/identities/${NOBODY}/export`,
      'GET /admin/identities/:userId/export',
      { userId: NOBODY },
    ],
    'a person whose name stands in place of the id': [
      'GET',
      `/admin/identities/${PRIVATE}@example.com`,
      'GET /admin/identities/:userId',
      { userId: '[no id]' },
    ],
    'a path that is not there': ['POST', '/admin/none', 'POST /admin/none'],
    'a bearer that stands in a path': [
      'DELETE',
      '/admin/apps/cs1_AAAAAAAAAAAAAAAAAAAAAAAAAAAA',
      'DELETE /admin/apps/:clientId',
      { clientId: '[redacted]' },
    ],
  };
  for (const [name, [method, path, act, target]] of Object.entries(ACTS)) {
    it(`names ${name}`, async () => {
      const { status } = await idproxy.admin(method, path, method === 'GET' ? undefined : {});
      assert.ok(status >= 400, String(status));
      const [begun, failed] = await next(2);
      assert.deepEqual([begun?.act, begun?.target], [act, target]);
      assert.deepEqual([failed?.outcome, failed?.status, failed?.begun], ['failed', status, begun?.id]);
    });
  }

  /** Spellings of one path that the router takes for the same. */
  const SPELLINGS: Readonly<Record<string, string>> = {
    'with a fragment': `/admin/identities/${NOBODY}/export#x`,
    'with a backslash': `/admin/identities\\${NOBODY}/export#`,
    'with an origin': `http://another.example/admin/identities/${NOBODY}/export`,
  };
  for (const [name, target] of Object.entries(SPELLINGS)) {
    it(`has an entry for the reading of a person by a path ${name}`, async () => {
      const client = await connectRaw(Number(new URL(idproxy.url).port));
      const head = `Host: a\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\nConnection: close`;
      client.send(`GET ${target} HTTP/1.1\r\n${head}\r\n\r\n`);
      assert.match(await client.waitForEnd(), /^HTTP\/1\.1 404 .*there is no such user/s);
      for (const entry of await next(2)) {
        assert.deepEqual([entry.act, entry.target], ['GET /admin/identities/:userId/export', { userId: NOBODY }]);
      }
    });
  }

  it('has no entry for what only reads', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      await idproxy.request('/admin/apps', { method, headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    }
    await next(0);
  });

  it('refuses an act with 503 where it cannot be written, and nothing is done', async () => {
    breakable.setBroken(true);
    breakable.calls.length = 0;
    const answer = await idproxy.admin('POST', '/admin/apps', { name: 'never', algorithm: 'HS256' });
    breakable.setBroken(false);
    assert.equal(answer.status, 503);
    assert.deepEqual(breakable.calls, ['append']);
    const { body } = await idproxy.admin('GET', '/admin/apps');
    assert.ok(!JSON.stringify(body).includes('never'));
    await next(0);
  });

  it('does nothing for those who are gone when the entry is there, and says so', async (t) => {
    const release = breakable.hold();
    breakable.calls.length = 0;
    let gone: Promise<unknown> | undefined;
    const server = createServer((req, res) => {
      gone = once(res, 'close');
      idproxy.app(req, res);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close());
    const client = await connectRaw((server.address() as AddressInfo).port);
    const body = '{"name":"gone","algorithm":"HS256"}';
    const head = `Host: a\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\nContent-Type: application/json`;
    client.send(`POST /admin/apps HTTP/1.1\r\n${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await until(async () => breakable.calls.length === 1, 'the entry');
    client.socket.destroy();
    await gone;
    release();
    const [begun, end] = await next(2);
    assert.deepEqual([begun?.outcome, end?.outcome, end?.begun], ['begun', 'abandoned', begun?.id]);
    assert.deepEqual(breakable.calls, ['append', 'append']);
  });

  it('has entries for refused credentials, and one for those beyond the bound', async () => {
    const count = MAX_REFUSAL_ENTRIES_PER_HOUR + 30;
    for (let index = 0; index < count; index++) {
      const { status } = await idproxy.request('/admin/apps', {
        headers: index % 2 === 0 ? { authorization: `Bearer wrong-${PRIVATE}` } : {},
      });
      assert.equal(status, 401);
    }
    const entries = await next(MAX_REFUSAL_ENTRIES_PER_HOUR);
    for (const { who, act, outcome, status, from } of entries) {
      assert.deepEqual([who, act, outcome, status, from], ['nobody', 'GET /admin/apps', 'refused', 401, '127.0.0.1']);
    }
    await next(0);
    assert.ok(!JSON.stringify(await idproxy.store.audit.list({ limit: 1_000 })).includes(PRIVATE));
  });

  it('is read a page at a time, oldest or newest first, and refuses what it does not know', async () => {
    const all = await readEntries(idproxy, seen);
    const first = (await idproxy.admin('GET', '/admin/audit?limit=5')).body as { entries: Entry[]; next: string };
    assert.deepEqual(first.entries, all.slice(0, 5));
    assert.equal(first.next, all[4]?.id);
    const second = (await idproxy.admin('GET', `/admin/audit?limit=1000&after=${first.next}`)).body as object;
    assert.deepEqual(second, { entries: all.slice(5) });
    const newest = (await idproxy.admin('GET', '/admin/audit?limit=2&newestFirst=true')).body as object;
    assert.deepEqual(newest, { entries: all.slice(-2).toReversed() });
    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=x',
      'after=x',
      `after=${'1'.repeat(65)}`,
      'newestFirst=1',
      'a=b',
    ]) {
      assert.equal((await idproxy.admin('GET', `/admin/audit?${query}`)).status, 400, query);
    }
    assert.equal((await idproxy.request('/admin/audit')).status, 401);
    await next(0);
  });

  it('cannot be changed over HTTP: what is tried is refused, and written', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      assert.equal((await idproxy.admin(method, '/admin/audit', {})).status, 405);
    }
    await next(8);
  });
});

describe('a flood of refused credentials', () => {
  it('is in the trail as a number when the server closes', async () => {
    const { store, end } = await BACKENDS.embedded({ nowSeconds: () => 1_767_225_600 } as never);
    const kept: Store = { ...store, close: async () => undefined };
    try {
      const idproxy = await startIdproxyUnderTest(async () => ({ store: kept, end: async () => undefined }));
      for (let index = 0; index < MAX_REFUSAL_ENTRIES_PER_HOUR + 5; index++) await idproxy.request('/admin/apps');
      await idproxy.close();
      const last = (await store.audit.list({ limit: 1, isNewestFirst: true })).map(
        ({ body }) => JSON.parse(body) as Entry,
      );
      assert.deepEqual(
        last.map(({ act, outcome, count }) => [act, outcome, count]),
        [['any', 'refused', 5]],
      );
    } finally {
      await store.close();
      await end();
    }
  });
});
