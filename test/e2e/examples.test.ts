import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { openWatchedPage, startBrowser } from '../support/browser.ts';
import { type Child, startChild, waitUntilReady } from '../support/child.ts';
import { startCountersign } from '../support/processes.ts';
import { makeFolder } from './cli-processes.ts';

const READY_TIMEOUT_MS = 30_000;
const ADMIN_TOKEN = 'admin-token-of-this-test-0123456789';
const ISSUER_KEY = 'csk_a-key-of-the-back-end-0123456789';

/** An example that listens, as a reader starts it. */
async function startExample(
  t: TestContext,
  path: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly url: string; readonly child: Child }> {
  const args = [resolve('examples', ...path)];
  const child = await startChild({
    command: process.execPath,
    args,
    cwd: await makeFolder(t),
    env: { PORT: '0', ...env },
  });
  t.after(() => child.stop());
  await waitUntilReady(child, async () => /listening on \d+/.test(child.stdout()), READY_TIMEOUT_MS);
  return { url: `http://127.0.0.1:${/listening on (\d+)/.exec(child.stdout())?.[1]}`, child };
}

describe('examples/curl', () => {
  it('walks from a name to a socket and out again', async (t) => {
    const { issuerUrl, idproxyUrl, stop } = await startCountersign(['start']);
    t.after(stop);
    const run = async (env: Readonly<Record<string, string>>) => {
      const args = [resolve('examples', 'curl', 'chat.sh')];
      const child = await startChild({
        command: 'sh',
        args,
        cwd: await makeFolder(t),
        env: { PATH: '/usr/bin:/bin', ...env },
      });
      const { code } = await child.exited;
      return { code, stdout: child.stdout(), stderr: child.stderr() };
    };
    const urls = { ISSUER_URL: issuerUrl, IDPROXY_URL: idproxyUrl };
    const { code, stdout, stderr } = await run({ ...urls, IDENTITY: 'erin+chat@example.com' });
    assert.equal(code, 0, stderr);
    const [user, socket, revoked] = stdout.split('\n');
    assert.equal(user, 'user:    erin+chat@example.com');
    assert.match(socket ?? '', /^socket:  ws:\/\/127\.0\.0\.1:\d+\/rtm\/bot\?sid=…&botId=st-1&userId=u-[\da-f-]{36}$/);
    assert.equal(revoked, 'revoked: 401');
    assert.notEqual((await run({ ...urls, ISSUER_URL: 'http://127.0.0.1:1' })).code, 0);
  });
});

describe('examples/web-page', () => {
  it('says in Chromium who the user is, and signs out', async (t) => {
    const { issuerUrl, idproxyUrl, stop } = await startCountersign(['start']);
    t.after(stop);
    const { url } = await startExample(t, ['web-page', 'serve.mjs'], {
      ISSUER_URL: issuerUrl,
      IDPROXY_URL: idproxyUrl,
    });
    const browser = await startBrowser();
    t.after(() => browser.close());
    const { page, uncaught, consoleErrors, waitForExchange } = await openWatchedPage(browser);
    await page.goto(`${url}/`);
    const who = page.locator('#who');
    await who.filter({ hasText: 'You are alice@example.com.' }).waitFor();
    const { requestHeaders } = await waitForExchange('/api/1.1/userinfo');
    await page.locator('#sign-out').click();
    await who.filter({ hasText: 'You are signed out.' }).waitFor();
    assert.equal((await waitForExchange('/oauth/revoke')).status, 200);
    const headers = { authorization: requestHeaders['authorization'] ?? '' };
    assert.match(headers.authorization, /^Bearer cs1_/);
    assert.equal((await fetch(`${idproxyUrl}/api/1.1/userinfo`, { headers })).status, 401);
    assert.deepEqual([...uncaught, ...consoleErrors], []);
    assert.equal((await fetch(`${url}/client/../serve.mjs`)).status, 404);
  });
});

describe('examples/mobile-back-end', () => {
  /** Issuer and idproxy as in production, the issuer for callers with a key. */
  async function startServers(t: TestContext): Promise<Record<'ISSUER_URL' | 'IDPROXY_URL', string>> {
    const idproxy = await startCountersign(['idproxy'], { COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN });
    t.after(() => idproxy.stop());
    const registered = await fetch(`${idproxy.idproxyUrl}/admin/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Mobile', algorithm: 'HS256', enforceJti: true }),
    });
    const app = (await registered.json()) as Record<'clientId' | 'clientSecret', string>;
    const keysFile = join(await makeFolder(t), 'api-keys.txt');
    await writeFile(keysFile, `back end:${createHash('sha256').update(ISSUER_KEY).digest('hex')}\n`);
    const issuer = await startCountersign(['issuer'], {
      COUNTERSIGN_CALLER_AUTH: 'api-key',
      COUNTERSIGN_API_KEYS_FILE: keysFile,
      COUNTERSIGN_CLIENT_ID: app.clientId,
      COUNTERSIGN_CLIENT_SECRET: app.clientSecret,
    });
    t.after(() => issuer.stop());
    return { ISSUER_URL: issuer.issuerUrl, IDPROXY_URL: idproxy.idproxyUrl };
  }

  it('speaks for whoever signed in with a password, and for nobody else', async (t) => {
    const servers = await startServers(t);
    const hashing = await startChild({
      command: process.execPath,
      args: [resolve('examples', 'mobile-back-end', 'passwords.mjs')],
      cwd: '/',
      input: 'correct horse\n',
    });
    await hashing.exited;
    const usersFile = join(await makeFolder(t), 'users.json');
    const kept = hashing.stdout().trim();
    await writeFile(usersFile, JSON.stringify({ 'alice@example.com': kept, 'bob@example.com': kept }));
    const env = { ...servers, ISSUER_KEY, USERS_FILE: usersFile };
    const { url } = await startExample(t, ['mobile-back-end', 'server.mjs'], env);

    const ask = async (method: string, path: string, session = '', body?: object) => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${session}` };
      const answer = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      const text = await answer.text();
      return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, string>) };
    };
    const signIn = (user: unknown, password: unknown) => ask('POST', '/sign-in', '', { user, password });

    const REFUSED: Readonly<Record<string, readonly [unknown, unknown]>> = {
      'a wrong password': ['alice@example.com', 'wrong horse'],
      'an unknown user': ['mallory@example.com', 'correct horse'],
      'a name of the language': ['__proto__', 'correct horse'],
      'no texts': [{}, []],
    };
    for (const [name, [user, password]] of Object.entries(REFUSED))
      assert.equal((await signIn(user, password)).status, 401, name);
    for (const session of ['', 'nonsense']) assert.equal((await ask('GET', '/chat/me', session)).status, 401);

    const alice = (await signIn('alice@example.com', 'correct horse')).body['session'] ?? '';
    const bob = (await signIn('bob@example.com', 'correct horse')).body['session'] ?? '';
    assert.equal((await ask('GET', '/chat/me', alice)).body['sub'], 'alice@example.com');
    assert.equal((await ask('GET', '/chat/me', bob)).body['sub'], 'bob@example.com');
    // A user who asks in another's name still gets their own.
    const { body } = await ask('POST', '/chat/jwt', alice, { identity: 'bob@example.com' });
    const exchanged = await fetch(`${servers.IDPROXY_URL}/api/1.1/oAuth/token/jwtgrant`, {
      method: 'POST',
      body: new URLSearchParams({ assertion: body['jwt'] ?? '' }),
    });
    assert.equal(exchanged.status, 200);
    const { userInfo } = (await exchanged.json()) as { userInfo: { identity: string } };
    assert.match(userInfo.identity, /\/alice@example\.com$/);

    assert.equal((await ask('POST', '/sign-out', alice)).status, 204);
    assert.equal((await ask('GET', '/chat/me', alice)).status, 401);
    assert.equal((await ask('GET', '/chat/me', bob)).status, 200, 'the other session goes on');
  });
});
