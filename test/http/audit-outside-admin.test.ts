import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { AppError } from '../../src/core/errors.ts';
import { MAX_REFUSAL_ENTRIES_PER_HOUR } from '../../src/http/audit-acts.ts';
import { until } from '../contract/attempts.ts';
import type { Json } from '../support/assertions.ts';
import {
  ADMIN_TOKEN,
  type Answer,
  type AppUnderTest,
  BACKENDS,
  type IdproxyUnderTest,
  startIdproxyUnderTest,
} from '../support/idproxy-under-test.ts';

const INTROSPECTION_KEY = 'introspection-key-of-a-service';
const CONTEXT_KEY = 'context-key-of-a-service';
const toLine = (key: string): string => `service:${createHash('sha256').update(key).digest('hex')}`;
const sendBearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const sendBasic = (key: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`anyone:${encodeURIComponent(key)}`).toString('base64')}`,
});

describe('what the admin token does outside /admin', () => {
  let idproxy: IdproxyUnderTest;
  let app: AppUnderTest;
  let isBroken = false;
  let isCounting = false;
  const calls: string[] = [];
  const note = (call: string): void => void (isCounting && calls.push(call));

  before(async () => {
    const open: typeof BACKENDS.embedded = async (clock) => {
      const { store, end } = await BACKENDS.embedded(clock);
      const audit: typeof store.audit = {
        ...store.audit,
        append: async (body) => {
          note('append');
          if (isBroken) throw new AppError('store_unavailable');
          return store.audit.append(body);
        },
      };
      const sessions: typeof store.sessions = {
        ...store.sessions,
        find: async (...args) => {
          note('find');
          return store.sessions.find(...args);
        },
        revoke: async (...args) => {
          note('revoke');
          return store.sessions.revoke(...args);
        },
      };
      return { store: { ...store, audit, sessions }, end };
    };
    idproxy = await startIdproxyUnderTest(open, {
      introspectionKeys: toLine(INTROSPECTION_KEY),
      contextKeys: toLine(CONTEXT_KEY),
    });
    app = await idproxy.register({});
    await until(async () => (await readTrail()).length === 2, 'the registration is written');
  });
  after(() => idproxy?.close());

  const readTrail = async (): Promise<Json[]> =>
    (await idproxy.store.audit.list({ limit: 1_000 })).map(({ body }) => JSON.parse(body) as Json);
  /** What was added, once there is so much of it. */
  const watchTrail = async () => {
    const before = (await readTrail()).length;
    return async (count: number): Promise<Json[]> => {
      await until(async () => (await readTrail()).length >= before + count, `${count} entries`);
      const added = (await readTrail()).slice(before);
      assert.equal(added.length, count, JSON.stringify(added));
      return added;
    };
  };
  const signIn = async (): Promise<string> => (await idproxy.authorize(app.sign())).body.access_token;
  const toSessionId = async (bearer: string): Promise<string> => {
    const { body } = await idproxy.post('/oauth/introspect', { token: bearer }, sendBearer(INTROSPECTION_KEY));
    return body.session_id;
  };

  /** Each act: how it is asked for, by somebody's bearer and the name of their session. */
  const ACTS: Readonly<
    Record<string, (headers: Record<string, string>, bearer: string, session: string) => Promise<Answer>>
  > = {
    'POST /oauth/introspect': (headers, token) => idproxy.post('/oauth/introspect', { token }, headers),
    'POST /oauth/revoke': (headers, token) => idproxy.post('/oauth/revoke', { token }, headers),
    'GET /api/1.1/session/context': (headers, _bearer, session) =>
      idproxy.request(`/api/1.1/session/context?sessionId=${session}`, { headers }),
  };

  for (const [act, ask] of Object.entries(ACTS)) {
    for (const [way, send] of Object.entries({ 'as a bearer': sendBearer, 'by HTTP Basic': sendBasic })) {
      it(`has its entries: ${act}, ${way}`, async () => {
        const bearer = await signIn();
        const sessionId = await toSessionId(bearer);
        const added = await watchTrail();
        assert.equal((await ask(send(ADMIN_TOKEN), bearer, sessionId)).status, 200);
        const [begun, done] = await added(2);
        assert.equal(typeof begun?.['requestId'], 'string');
        assert.deepEqual(begun, {
          at: '2026-01-01T00:00:00.000Z',
          who: 'admin',
          from: '127.0.0.1',
          act,
          requestId: begun?.['requestId'],
          target: { sessionId },
          outcome: 'begun',
        });
        assert.deepEqual([done?.['outcome'], done?.['status'], done?.['target']], ['done', 200, { sessionId }]);
        assert.ok(!JSON.stringify([begun, done]).includes(bearer));
      });
    }

    it(`is not done where it cannot be written: ${act}`, async () => {
      const bearer = await signIn();
      const sessionId = await toSessionId(bearer);
      isBroken = true;
      const { status } = await ask(sendBearer(ADMIN_TOKEN), bearer, sessionId).finally(() => (isBroken = false));
      assert.equal(status, 503);
      assert.equal(await toSessionId(bearer), sessionId, 'the session lives');
    });

    it(`has an entry where a guess is refused, and none where nothing is shown: ${act}`, async () => {
      const bearer = await signIn();
      const sessionId = await toSessionId(bearer);
      const added = await watchTrail();
      assert.equal((await ask({}, bearer, sessionId)).status, 401);
      assert.equal((await ask(sendBearer('a-guess'), bearer, sessionId)).status, 401);
      const [refused] = await added(1);
      assert.deepEqual(
        [refused?.['who'], refused?.['act'], refused?.['outcome'], refused?.['status']],
        ['nobody', act, 'refused', 401],
      );
      assert.ok(!JSON.stringify(refused).includes('a-guess'));
    });
  }

  it('has entries about what is no bearer, too, without a name', async () => {
    const added = await watchTrail();
    assert.equal((await idproxy.post('/oauth/revoke', { token: 'PRIVATE-TEXT' }, sendBearer(ADMIN_TOKEN))).status, 200);
    const entries = await added(2);
    for (const entry of entries) assert.equal(entry['target'], undefined);
    assert.ok(!JSON.stringify(entries).includes('PRIVATE'));
  });

  it('is the admin alone who has entries: services and holders of a bearer cost one question to the store', async () => {
    const bearer = await signIn();
    const sessionId = await toSessionId(bearer);
    const ways: readonly (readonly [act: string, key: string, calls: readonly string[]])[] = [
      ['POST /oauth/introspect', INTROSPECTION_KEY, ['find']],
      ['POST /oauth/introspect', CONTEXT_KEY, ['find']],
      ['GET /api/1.1/session/context', CONTEXT_KEY, ['find']],
      ['POST /oauth/revoke', bearer, ['revoke']],
    ];
    for (const [act, key, expected] of ways) {
      calls.length = 0;
      isCounting = true;
      const answer = await ACTS[act]?.(sendBearer(key), bearer, sessionId);
      isCounting = false;
      assert.deepEqual([answer?.status, calls], [200, expected], `${act} ${key}`);
    }
  });

  it('keeps the entries of refused credentials apart from those below /admin: nobody drowns the ones in the others', async () => {
    const added = await watchTrail();
    const guess = (): Promise<Answer> => idproxy.post('/oauth/introspect', { token: 'x' }, sendBearer('a-guess'));
    // The guesses of the tests before count.
    for (let index = 0; index < MAX_REFUSAL_ENTRIES_PER_HOUR + 5; index++) assert.equal((await guess()).status, 401);
    const before = Object.keys(ACTS).length;
    await added(MAX_REFUSAL_ENTRIES_PER_HOUR - before);
    assert.equal((await idproxy.request('/admin/apps', { headers: sendBearer('a-guess') })).status, 401);
    const last = (await added(MAX_REFUSAL_ENTRIES_PER_HOUR - before + 1)).at(-1);
    assert.equal(last?.['act'], 'GET /admin/apps');
  });
});
