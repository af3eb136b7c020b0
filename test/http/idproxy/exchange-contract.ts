import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import {
  type AppUnderTest,
  type IdproxyUnderTest,
  type OpenBackend,
  seedsError,
  START_AT,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const REPLAYED = seedsError(401, 'error verifying the jwt: possibly a replay');
const UNTRUSTED = seedsError(401, 'error verifying the jwt: not signed or encrypted by a known client');
const HOUR = 3_600;
const TOLERANCE = 15;

/** What an exchange must do with replays and times, on any store. */
export function describeExchange(name: string, open: OpenBackend): void {
  describe(`exchange on ${name}`, () => {
    let idproxy: IdproxyUnderTest;
    let app: AppUnderTest;

    before(async () => {
      idproxy = await startIdproxyUnderTest(open);
      app = await idproxy.register({ algorithm: 'HS256' });
    });
    after(() => idproxy.close());

    const expectRefused = async (assertion: string, msg: string): Promise<void> => {
      const { status, body } = await idproxy.authorize(assertion);
      assert.equal(status, 401);
      assert.deepEqual(body, seedsError(401, `error verifying the jwt: ${msg}`));
    };
    const expectGranted = async (assertion: string): Promise<string> => {
      const { status, body } = await idproxy.authorize(assertion);
      assert.equal(status, 200, JSON.stringify(body));
      return body.access_token;
    };

    test('the first presentation is granted, the second is a replay, to the letter', async () => {
      const assertion = app.sign();
      await expectGranted(assertion);
      const { status, body } = await idproxy.authorize(assertion);
      assert.deepEqual({ status, body }, { status: 401, body: REPLAYED });
    });

    test('fifty at once: one grant', async () => {
      const assertion = app.sign();
      const answers = await Promise.all(Array.from({ length: 50 }, () => idproxy.authorize(assertion)));
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      assert.equal(answers.filter(({ body }) => JSON.stringify(body) === JSON.stringify(REPLAYED)).length, 49);
    });

    test('an assertion without a jti may be presented again, and gets a session of its own each time', async () => {
      const assertion = app.sign({ jti: undefined });
      assert.notEqual(await expectGranted(assertion), await expectGranted(assertion));
    });

    test('one jti of two clients is two', async () => {
      const other = await idproxy.register({ algorithm: 'HS256' });
      await expectGranted(app.sign({ jti: 'shared' }));
      await expectGranted(other.sign({ jti: 'shared' }));
      await expectRefused(other.sign({ jti: 'shared' }), 'possibly a replay');
    });

    test('a replay is refused until the assertion is refused for its age', async () => {
      const exp = START_AT + 300;
      const assertion = app.sign({ exp });
      await expectGranted(assertion);
      try {
        for (const at of [exp - 1, exp, exp + TOLERANCE - 0.001]) {
          idproxy.clock.set(at);
          await expectRefused(assertion, 'possibly a replay');
        }
        for (const late of [TOLERANCE, TOLERANCE + 1]) {
          idproxy.clock.set(exp + late);
          await expectRefused(assertion, `"exp" is in the past: ${late} s ago; tolerance ${TOLERANCE} s`);
        }
      } finally {
        idproxy.clock.set(START_AT);
      }
    });

    const REFUSED_FIRST: Readonly<Record<string, (jti: string) => string>> = {
      'a bad signature': (jti) => `${app.sign({ jti }).slice(0, -6)}AAAAAA`,
      'a wrong aud': (jti) => app.sign({ jti, aud: 'https://elsewhere.example' }),
      'an expired token': (jti) => app.sign({ jti, exp: START_AT - 60 }),
      'a future iat': (jti) => app.sign({ jti, iat: START_AT + 60 }),
      'a life of more than an hour': (jti) => app.sign({ jti, exp: START_AT + HOUR + 60 }),
      'a missing sub': (jti) => app.sign({ jti, sub: undefined }),
    };
    for (const [what, make] of Object.entries(REFUSED_FIRST)) {
      test(`${what} burns no jti: the good assertion passes after it`, async () => {
        const jti = `burn ${what}`;
        assert.equal((await idproxy.authorize(make(jti))).status, 401);
        await expectGranted(app.sign({ jti }));
        await expectRefused(app.sign({ jti }), 'possibly a replay');
      });
    }

    test('kore_jti is what counts where it is there', async () => {
      await expectGranted(app.sign({ jti: 'corporate', kore_jti: 'one' }));
      await expectGranted(app.sign({ jti: 'corporate', kore_jti: 'two' }));
      await expectRefused(app.sign({ jti: 'other', kore_jti: 'one' }), 'possibly a replay');
    });

    const TIMES: Readonly<Record<string, { claims: Record<string, number>; refused?: string }>> = {
      'all in milliseconds': { claims: { iat: START_AT * 1000, exp: (START_AT + 300) * 1000 } },
      'iat in milliseconds, exp fractional': { claims: { iat: START_AT * 1000 + 883, exp: START_AT + 300.883 } },
      'iat in seconds, exp in milliseconds': { claims: { iat: START_AT, exp: (START_AT + 300) * 1000 } },
      'expired in milliseconds': {
        claims: { exp: (START_AT - 60) * 1000 },
        refused: '"exp" is in the past: 60 s ago; tolerance 15 s',
      },
      'expired in seconds': {
        claims: { exp: START_AT - 60 },
        refused: '"exp" is in the past: 60 s ago; tolerance 15 s',
      },
      'nbf in milliseconds, ahead': {
        claims: { nbf: (START_AT + 60) * 1000 },
        refused: '"nbf" is in the future: 60 s ahead; tolerance 15 s',
      },
      'iat 8 s ahead': { claims: { iat: START_AT + 8 } },
      'iat 60 s ahead': {
        claims: { iat: START_AT + 60 },
        refused: '"iat" is in the future: 60 s ahead; tolerance 15 s',
      },
      'one hour and the tolerance': { claims: { exp: START_AT + HOUR + TOLERANCE } },
      'one hour and a second more than the tolerance': {
        claims: { exp: START_AT + HOUR + TOLERANCE + 1 },
        refused: 'if "jti" claim "exp" must be <= 1 hour(s)',
      },
      'an hour more than allowed, in milliseconds': {
        claims: { exp: (START_AT + 2 * HOUR) * 1000 },
        refused: 'if "jti" claim "exp" must be <= 1 hour(s)',
      },
    };
    for (const [what, { claims, refused }] of Object.entries(TIMES)) {
      test(`times: ${what}`, async () => {
        if (refused === undefined) await expectGranted(app.sign(claims));
        else await expectRefused(app.sign(claims), refused);
      });
    }

    test('within the reuse window the same assertion continues the same session, for its app alone', async () => {
      const patient = await idproxy.register({ algorithm: 'HS256', reuseWindowSeconds: 60 });
      const assertion = patient.sign({ jti: 'again' });
      const bearer = await expectGranted(assertion);
      assert.equal(await expectGranted(assertion), bearer);
      // The same jti around other claims is another assertion.
      await expectRefused(patient.sign({ jti: 'again', sub: 'mallory@example.com' }), 'possibly a replay');
      const { body } = await idproxy.request('/api/1.1/userinfo', { headers: { authorization: `bearer ${bearer}` } });
      assert.equal(body.sub, 'alice@example.com');
    });

    test('revocation ends a session for good, within the reuse window too', async () => {
      const patient = await idproxy.register({ algorithm: 'HS256', reuseWindowSeconds: 60 });
      const assertion = patient.sign();
      const bearer = await expectGranted(assertion);
      const revoked = await idproxy.post('/oauth/revoke', { token: bearer }, { authorization: `Bearer ${bearer}` });
      assert.equal(revoked.status, 200);
      await expectRefused(assertion, 'possibly a replay');
      assert.equal(
        (await idproxy.request('/api/1.1/userinfo', { headers: { authorization: `bearer ${bearer}` } })).status,
        401,
      );
    });

    test('a tolerance that is raised later brings no used assertion back, and no revoked bearer', async () => {
      const own = await idproxy.register({ algorithm: 'HS256', clockToleranceSeconds: 0, reuseWindowSeconds: 60 });
      const exp = START_AT + 2;
      const assertion = own.sign({ exp });
      const bearer = await expectGranted(assertion);
      await idproxy.post('/oauth/revoke', { token: bearer }, { authorization: `Bearer ${bearer}` });
      try {
        idproxy.clock.set(exp + 1);
        await expectRefused(assertion, '"exp" is in the past: 1 s ago; tolerance 0 s');
        await idproxy.admin('PATCH', `/admin/apps/${own.clientId}`, { clockToleranceSeconds: 300 });
        idproxy.clock.set(exp + 299);
        await expectRefused(assertion, 'possibly a replay');
      } finally {
        idproxy.clock.set(START_AT);
      }
    });

    test('an unknown client and a bad signature look the same', async () => {
      const unknown = await idproxy.authorize(app.sign({ iss: 'cs-nobody' }));
      const bad = await idproxy.authorize(`${app.sign().slice(0, -6)}AAAAAA`);
      assert.deepEqual([unknown.status, unknown.body], [401, UNTRUSTED]);
      assert.deepEqual([bad.status, bad.body], [401, UNTRUSTED]);
    });
  });

  describe(`an upgrade of the replay key on ${name}`, () => {
    test('a jti used under the former format is a replay under the new one', async () => {
      const former = (clientId: string, jti: string): string =>
        `jti:v0:${createHash('sha256')
          .update(JSON.stringify([clientId, jti]))
          .digest('hex')}`;
      const current = (clientId: string, jti: string): string =>
        `jti:vX:${Buffer.from(`${clientId}/${jti}`).toString('base64url')}`;
      const shared = await open({ ...createFakeClock(START_AT), set: () => undefined });
      const keep = { store: { ...shared.store, close: async () => undefined }, end: async () => undefined };
      const old = await startIdproxyUnderTest(async () => keep, { replayKeyFormats: { current: former, former: [] } });
      const next = await startIdproxyUnderTest(async () => keep, { replayKeyFormats: { current, former: [former] } });
      try {
        const app = await old.register({ algorithm: 'HS256' });
        const assertion = app.sign();
        assert.equal((await old.authorize(assertion)).status, 200);
        assert.deepEqual((await next.authorize(assertion)).body, REPLAYED);
        const fresh = app.sign();
        assert.equal((await next.authorize(fresh)).status, 200);
        assert.deepEqual((await next.authorize(fresh)).body, REPLAYED);
      } finally {
        await old.close();
        await next.close();
        await shared.store.close();
        await shared.end();
      }
    });
  });
}
