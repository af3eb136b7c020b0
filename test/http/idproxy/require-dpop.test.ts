import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createEchoBot } from '../../../src/sessions/bots/echo-bot.ts';
import type { Json } from '../../support/assertions.ts';
import { createProofKey, type ProofKey, toAth } from '../../support/dpop.ts';
import {
  ADMIN_TOKEN,
  type Answer,
  type AppUnderTest,
  type IdproxyUnderTest,
  seedsError,
  startIdproxyUnderTest,
} from '../../support/idproxy-under-test.ts';
import { openClient, openRefused, startPlatformUnderTest } from '../sessions/socket-under-test.ts';

const ORIGIN = 'https://idproxy.example';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };
const NOT_BOUND = 'this client takes only bearers that are bound to a key (DPoP)';
const STARTS = ['/api/rtm/start', '/api/1.1/rtm/start'];
const USES = ['/api/1.1/userinfo', '/api/1.1/botmessages/rtm?botId=st-1', ...STARTS];

describe('an app that asks for DPoP from now on', () => {
  let idproxy: IdproxyUnderTest;
  let key: ProofKey;
  before(async () => {
    idproxy = await startIdproxyUnderTest(undefined, { bot: createEchoBot() });
    key = createProofKey(() => idproxy.clock.nowSeconds());
  });
  after(() => idproxy.close());

  const use = (path: string, headers: Record<string, string>): Promise<Answer> =>
    STARTS.includes(path) ? idproxy.post(path, {}, headers) : idproxy.request(path, { headers });
  const plain = (token: string): Record<string, string> => ({ authorization: `bearer ${token}` });
  const bound = (path: string, token: string): Record<string, string> => ({
    authorization: `DPoP ${token}`,
    dpop: key.prove(STARTS.includes(path) ? 'POST' : 'GET', ORIGIN + path.replace(/\?.*/, ''), { ath: toAth(token) }),
  });
  const signIn = async (app: AppUnderTest): Promise<string> => {
    const { status, body } = await idproxy.authorize(app.sign());
    assert.equal(status, 200);
    return body.access_token;
  };
  const signInBound = async (app: AppUnderTest, more: Json = {}, changes: Json = {}): Promise<Answer> =>
    idproxy.post(
      '/oauth/token',
      { grant_type: JWT_BEARER, assertion: app.sign(changes), ...more },
      { dpop: key.prove('POST', `${ORIGIN}/oauth/token`) },
    );
  const change = async (app: AppUnderTest, settings: Json): Promise<void> =>
    assert.equal((await idproxy.admin('PATCH', `/admin/apps/${app.clientId}`, settings)).status, 200);
  const introspect = async (token: string): Promise<Json> =>
    (await idproxy.post('/oauth/introspect', { token }, ADMIN)).body;

  test('has plain bearers refused with 403 wherever one is shown, and takes bound ones as before', async () => {
    const app = await idproxy.register({});
    const bearer = await signIn(app);
    const { access_token: token } = (await signInBound(app)).body;
    for (const path of USES) assert.equal((await use(path, plain(bearer))).status, 200, path);
    await change(app, { requireDpop: true });
    for (const path of USES) {
      // 401 would have published clients fetch a new assertion, which would be refused as well.
      const { status, body } = await use(path, plain(bearer));
      assert.deepEqual([status, body], [403, seedsError(403, NOT_BOUND)], path);
      assert.equal((await use(path, bound(path, token))).status, 200, path);
    }
    await change(app, { requireDpop: false });
    assert.equal((await use('/api/1.1/userinfo', plain(bearer))).status, 200, 'the session itself did not end');
  });

  test('has them inactive for services, and their context with them', async () => {
    const app = await idproxy.register({});
    const bearer = await signIn(app);
    const { access_token: token } = (await signInBound(app)).body;
    const before = await introspect(bearer);
    assert.equal(before['active'], true);
    const context = `/api/1.1/session/context?sessionId=${before['session_id'] as string}`;
    assert.equal((await idproxy.request(context, { headers: ADMIN })).status, 200);
    await change(app, { requireDpop: true });
    assert.deepEqual(await introspect(bearer), { active: false });
    assert.equal((await idproxy.request(context, { headers: ADMIN })).status, 404);
    assert.equal((await introspect(token))['active'], true);
  });

  test('has them prove nothing in a merge', async () => {
    const app = await idproxy.register({ allowAnonymous: true, merge: { requireProof: true } });
    const { status, body } = await idproxy.authorize(app.sign({ sub: 'visitor-1', isAnonymous: true }));
    assert.equal(status, 200);
    const shown = body.access_token as string;
    await change(app, { requireDpop: true });
    const refused = await signInBound(
      app,
      { identity_to_merge_token: shown },
      { sub: 'alice@example.com', identityToMerge: 'visitor-1' },
    );
    assert.equal(refused.status, 400);
    assert.match(refused.body.error_description, /needs the bearer of that identity/);
  });

  test('lets whoever holds one end it', async () => {
    const app = await idproxy.register({});
    const bearer = await signIn(app);
    await change(app, { requireDpop: true });
    assert.equal((await idproxy.post('/oauth/revoke', { token: bearer }, plain(bearer))).status, 200);
    await change(app, { requireDpop: false });
    assert.equal((await use('/api/1.1/userinfo', plain(bearer))).status, 401);
  });

  test('has no socket opened with one, and those that are open closed', { timeout: 30_000 }, async (t) => {
    const platform = await startPlatformUnderTest(undefined, { limits: { recheckMs: 100 } });
    t.after(() => platform.close());
    const app = await platform.register();
    const bearer = await platform.exchange(app.sign());
    const open = await openClient((await platform.start(bearer)).body.url);
    const { url } = (await platform.start(bearer)).body;
    await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { requireDpop: true });
    assert.equal((await openRefused(url)).status, 403);
    assert.deepEqual(await open.closed, { code: 4_003, reason: 'client_forbidden' });
  });
});
