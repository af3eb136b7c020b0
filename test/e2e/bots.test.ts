import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer as createTlsServer } from 'node:https';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { loadBot } from '../../src/cli/load-bot.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createToken } from '../../src/core/ids.ts';
import { Secret } from '../../src/core/secret.ts';
import { createLogger } from '../../src/http/access-log.ts';
import { createWebhookBot } from '../../src/sessions/bots/webhook-bot.ts';
import { createCertificate } from '../http/server-certificate.ts';
import { type Child, startChild, waitUntilReady } from '../support/child.ts';
import { runCountersign, startCountersign } from '../support/processes.ts';
import { createBotSession, isBotError, listen } from '../unit/sessions/bots/bot-session.ts';
import { assertSays, makeFolder } from './cli-processes.ts';

const READY_TIMEOUT_MS = 10_000;
const MESSAGE = { id: '1', text: 'hello' };
const never = new AbortController().signal;
const session = createBotSession();

/** The example of a bot behind a URL, as a process. */
async function startExample(t: TestContext, secret: string): Promise<{ url: string; child: Child }> {
  const child = await startChild({
    command: process.execPath,
    args: [resolve('examples', 'bots', 'webhook-bot.mjs')],
    cwd: await makeFolder(t),
    env: { WEBHOOK_SECRET: secret, PORT: '0' },
  });
  t.after(() => child.stop());
  await waitUntilReady(child, async () => /listening on \d+/.test(child.stdout()), READY_TIMEOUT_MS);
  const [, port = ''] = /listening on (\d+)/.exec(child.stdout()) ?? [];
  return { url: `http://127.0.0.1:${port}/`, child };
}

const createBot = (url: string, secret: string) =>
  createWebhookBot({ url, secret: new Secret(secret) }, { fetch, clock: systemClock });

describe('the example of a webhook bot', () => {
  const SECRETS = {
    'a secret in the form of Standard Webhooks': `whsec_${Buffer.from(createToken(24)).toString('base64')}`,
    'a secret that is text': createToken(32),
  };
  for (const [name, secret] of Object.entries(SECRETS)) {
    it(`answers what the platform signs with ${name}`, async (t) => {
      const { url } = await startExample(t, secret);
      const bot = createBot(url, secret);
      assert.deepEqual(await bot.onStart?.(session, never), [{ text: 'Hello alice@example.com, how can I help?' }]);
      assert.deepEqual(await bot.onMessage(session, MESSAGE, never), [{ text: 'alice@example.com, you said: hello' }]);
    });
  }

  it('answers nobody else', async (t) => {
    const secret = createToken(32);
    const { url } = await startExample(t, secret);
    const other = createBot(url, createToken(32)).onMessage(session, MESSAGE, never);
    await assert.rejects(other, isBotError(/answered 401/));

    const body = JSON.stringify({ event: 'start', session, UserContext: session.UserContext });
    const now = Math.floor(systemClock.nowSeconds());
    const sign = (id: string, timestamp: number | string, signed = body): string =>
      `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${signed}`).digest('base64')}`;
    const post = async (headers: Record<string, string>, sent = body): Promise<number> => {
      const response = await fetch(url, { method: 'POST', headers, body: sent });
      await response.arrayBuffer();
      return response.status;
    };
    const good = { 'webhook-id': 'msg_1', 'webhook-timestamp': `${now}`, 'webhook-signature': sign('msg_1', now) };
    const REFUSED: Readonly<Record<string, Record<string, string>>> = {
      'no header at all': {},
      'no signature': { 'webhook-id': 'msg_1', 'webhook-timestamp': `${now}` },
      'a signature of nothing': { ...good, 'webhook-signature': 'v1,' },
      'another version': { ...good, 'webhook-signature': good['webhook-signature'].replace('v1', 'v2') },
      'another id': { ...good, 'webhook-id': 'msg_2' },
      'another time': { ...good, 'webhook-timestamp': `${now - 1}` },
      'a time that is none': { ...good, 'webhook-timestamp': 'x', 'webhook-signature': sign('msg_1', 'x') },
      'the past': { ...good, 'webhook-timestamp': `${now - 310}`, 'webhook-signature': sign('msg_1', now - 310) },
      'the future': { ...good, 'webhook-timestamp': `${now + 310}`, 'webhook-signature': sign('msg_1', now + 310) },
      'another body': { ...good, 'webhook-signature': sign('msg_1', now, `${body} `) },
    };
    for (const [name, headers] of Object.entries(REFUSED)) assert.equal(await post(headers), 401, name);
    assert.equal(await post(good, 'x'.repeat(300_000)), 413);
    assert.equal(await post(good), 200);
    const changing = { ...good, 'webhook-signature': `v1,AAAA ${good['webhook-signature']}` };
    assert.equal(await post(changing), 200, 'one of two signatures');
  });
});

describe('the example of a module bot', () => {
  it('is loaded, greets and answers', async () => {
    const bot = await loadBot(
      {
        bot: 'module',
        botWebhookUrl: undefined,
        botWebhookSecret: undefined,
        botModule: join('examples', 'bots', 'module-bot.mjs'),
      },
      { fetch, clock: systemClock, logger: createLogger('silent') },
    );
    assert.equal(bot?.name, 'opening-hours');
    const [hello, offer] = (await bot?.onStart?.(session, never)) ?? [];
    assert.deepEqual(hello, { text: 'Hello alice@example.com!' });
    assert.ok(offer && 'template' in offer && offer.template['type'] === 'template');
    const pressed = { id: '2', text: 'Opening hours', payload: 'OPENING HOURS' };
    assert.deepEqual(await bot?.onMessage(session, pressed, never), [{ text: 'Monday to Friday, 9 to 17.' }]);
    assert.deepEqual(await bot?.onMessage(session, MESSAGE, never), [{ text: 'Main Street 1.' }]);
  });
});

describe('a webhook over TLS', () => {
  /** Asks the bot in a process of its own, since Node reads NODE_EXTRA_CA_CERTS once, at its start. */
  const ASK = (url: string) => `
    const at = (path) => import(new URL(path, ${JSON.stringify(new URL('../../src/', import.meta.url).href)}));
    const [{ createWebhookBot }, { Secret }] = await Promise.all([at('sessions/bots/webhook-bot.js'), at('core/secret.js')]);
    const bot = createWebhookBot(
      { url: ${JSON.stringify(url)}, secret: new Secret('a w3bhook secret of 32 characters') },
      { fetch, clock: { nowSeconds: () => 1 } },
    );
    const session = { UserContext: {} };
    await bot.onMessage(session, { id: '1', text: 'x' }, new AbortController().signal).then(
      (messages) => process.stdout.write(JSON.stringify(messages)),
      (error) => process.stdout.write(error.message),
    );`;

  it('takes a private authority that the process was given, and its names alone', async (t) => {
    const certificate = await createCertificate(t);
    const server = createTlsServer(certificate, (req, res) => {
      req.resume().on('end', () => res.end('{"messages":[{"text":"over TLS"}]}'));
    });
    const port = await listen(t, server);
    const ask = async (host: string, env: Record<string, string>): Promise<string> => {
      const args = ['--input-type=module', '--eval', ASK(`https://${host}:${port}/`)];
      const child = await startChild({ command: process.execPath, args, cwd: '.', env });
      await child.exited;
      return child.stdout() + child.stderr();
    };
    const env = { NODE_EXTRA_CA_CERTS: certificate.certFile };
    assert.equal(await ask('localhost', env), '[{"text":"over TLS"}]');
    assert.match(await ask('localhost', {}), /gave no answer \(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    assert.match(await ask('127.0.0.2', env), /gave no answer \((?:ERR_TLS_CERT_ALTNAME_INVALID|ECONNREFUSED)\)/);
  });
});

describe('a server whose bot cannot be had', () => {
  const REFUSED: Readonly<Record<string, { env: Record<string, string>; says: string }>> = {
    'no such mode': { env: { COUNTERSIGN_BOT: 'kore' }, says: 'COUNTERSIGN_BOT: must be one of' },
    'a webhook without a secret': {
      env: { COUNTERSIGN_BOT: 'webhook', COUNTERSIGN_BOT_WEBHOOK_URL: 'https://bot.example/' },
      says: 'are needed by COUNTERSIGN_BOT=webhook',
    },
    'a module that is not there': {
      env: { COUNTERSIGN_BOT: 'module', COUNTERSIGN_BOT_MODULE: 'not-there.mjs' },
      says: 'COUNTERSIGN_BOT_MODULE: the module cannot be used: ',
    },
  };
  for (const [name, { env, says }] of Object.entries(REFUSED)) {
    for (const program of ['start', 'idproxy']) {
      it(`does not start: ${program}, ${name}`, async () => {
        const { code, stderr } = await runCountersign([program], env);
        assert.equal(code, 2);
        assertSays(stderr, says);
      });
    }
  }

  it('does not start: a module that throws', async (t) => {
    const path = join(await makeFolder(t), 'bot.mjs');
    await writeFile(path, "throw new Error('the calendar does not answer');");
    const env = { COUNTERSIGN_BOT: 'module', COUNTERSIGN_BOT_MODULE: path };
    const { code, stdout, stderr } = await runCountersign(['idproxy'], env);
    assert.equal(code, 2);
    assertSays(stderr, 'COUNTERSIGN_BOT_MODULE: the module cannot be used: the calendar does not answer');
    assert.doesNotMatch(stdout, /admin token/);
  });
});

describe('a bot that holds something open for ever', () => {
  it('does not keep the server from stopping', async (t) => {
    const path = join(await makeFolder(t), 'bot.mjs');
    await writeFile(
      path,
      "export const bot = { name: 'busy', onMessage: async () => [] };\nsetInterval(() => {}, 1000);",
    );
    const env = { COUNTERSIGN_BOT: 'module', COUNTERSIGN_BOT_MODULE: path };
    const server = await startCountersign(['idproxy'], env);
    server.signal('SIGTERM');
    const late = setTimeout(() => server.signal('SIGKILL'), 10_000);
    assert.deepEqual(await server.exited, { code: 0, signal: null });
    clearTimeout(late);
    await server.stop();
  });
});
