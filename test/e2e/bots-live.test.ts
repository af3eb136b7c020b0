import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { type Client, openClient } from '../http/sessions/socket-under-test.ts';
import { createClaims, signToken } from '../support/assertions.ts';
import { encryptText } from '../support/encrypt.ts';
import { type CountersignProcess, startCountersign } from '../support/processes.ts';
import { listen } from '../unit/sessions/bots/bot-session.ts';

const ADMIN_TOKEN = 'admin-token-of-this-test-0123456789';
const KEY = randomBytes(32);
const SECRET = `whsec_${KEY.toString('base64')}`;
const SIGNED = { tier: 'gold', name: 'Carol' };

interface Posted {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function post(url: string, body: object, token: string): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.ok(response.ok, `${url} ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}

/** Registers an app, signs in with an encrypted assertion that has private claims, and opens a socket. */
async function connect({ idproxyUrl }: CountersignProcess): Promise<Client> {
  const settings = { name: 'Chat', algorithm: 'HS256', jwe: { required: true } };
  const app = await post(`${idproxyUrl}/admin/apps`, settings, ADMIN_TOKEN);
  const claims = createClaims(String(app['clientId']), Date.now() / 1000, { sub: 'carol', privateClaims: SIGNED });
  const signed = signToken({ alg: 'HS256', typ: 'JWT' }, claims, 'HS256', String(app['clientSecret']));
  const assertion = await encryptText(signed, app['jwk'] as object, { cty: 'JWT' });
  const botInfo = { chatBot: 'Bot', taskBotId: 'st-1', customData: { page: '/prices' } };
  const granted = await post(`${idproxyUrl}/api/oAuth/token/jwtgrant`, { assertion, botInfo }, 'none');
  const { accessToken } = granted['authorization'] as { accessToken: string };
  const { url } = await post(`${idproxyUrl}/api/rtm/start`, { botInfo }, accessToken);
  return openClient(String(url));
}

async function start(t: TestContext, env: Readonly<Record<string, string>>): Promise<Client> {
  const server = await startCountersign(['idproxy'], { COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN, ...env });
  t.after(() => server.stop());
  const client = await connect(server);
  t.after(() => client.ws.terminate());
  return client;
}

const isSaid = (text: string) => (frame: { message?: [{ cInfo: { body: string } }] }) =>
  frame.message?.[0].cInfo.body === text;

describe('a server with a bot of its own, over a real socket', () => {
  it('posts to a webhook what was signed, signed itself, and sends what comes back', async (t) => {
    const posted: Posted[] = [];
    const bot = createServer((req, res) => {
      let body = '';
      req.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      req.on('end', () => {
        posted.push({ headers: req.headers, body });
        const { event, UserContext, message } = JSON.parse(body);
        const text = event === 'start' ? 'welcome' : `${UserContext.privateClaims.tier}: ${message.text}`;
        res.setHeader('content-type', 'application/json').end(JSON.stringify({ messages: [{ text }] }));
      });
    });
    const port = await listen(t, bot);
    const client = await start(t, {
      COUNTERSIGN_BOT: 'webhook',
      COUNTERSIGN_BOT_WEBHOOK_URL: `http://127.0.0.1:${port}/countersign`,
      COUNTERSIGN_BOT_WEBHOOK_SECRET: SECRET,
    });
    await client.until(isSaid('welcome'));
    client.say('hello', 17);
    await client.until(isSaid('gold: hello'));

    assert.equal(posted.length, 2);
    for (const { headers, body } of posted) {
      const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
      const expected = createHmac('sha256', KEY).update(signed).digest('base64');
      assert.equal(headers['webhook-signature'], `v1,${expected}`);
      assert.ok(Math.abs(Date.now() / 1000 - Number(headers['webhook-timestamp'])) < 60);
    }
    const { event, session, UserContext, message } = JSON.parse(posted[1]?.body ?? '');
    assert.deepEqual(
      { event, UserContext, message },
      {
        event: 'message',
        UserContext: { privateClaims: SIGNED, secureCustomData: {}, customData: { page: '/prices' } },
        message: { id: '17', text: 'hello' },
      },
    );
    assert.deepEqual([session.identity, session.isAnonymous, session.botId], ['carol', false, 'st-1']);
  });

  it('asks a module in its own process, which goes by what was signed, and sends what comes back', async (t) => {
    const client = await start(t, {
      COUNTERSIGN_BOT: 'module',
      COUNTERSIGN_BOT_MODULE: resolve(join('examples', 'bots', 'module-bot.mjs')),
    });
    await client.until(isSaid('Hello carol!'));
    client.ws.send(JSON.stringify({ id: 1, message: { body: 'OPENING HOURS', renderMsg: 'Opening hours' } }));
    await client.until(isSaid('For you: day and night.'));
  });
});
