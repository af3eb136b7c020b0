import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';

import { startBrowser } from '../support/browser.ts';
import { type Chain, startChain } from '../support/kore-chain.ts';
import { type Chat, GRANT_PATH, GREETING, openChat, START_PATH, STS_PATH, until } from '../support/kore-chat.ts';
import { type KorePage, startKorePage } from '../support/kore-page.ts';
import { type RedisProcess, startRedis } from '../support/processes.ts';
import { startTcpRelay, type TcpRelay } from '../support/tcp-relay.ts';

/** A JWE that is larger than what Node takes for all headers of a request together, less what a browser adds. */
const MIN_JWE_LENGTH = 12_000;
const LARGE_CLAIM = 'a private value, '.repeat(420);

/** A server that is away, as a browser reports it. */
const AWAY = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection to .* failed/;

/** A socket that is refused with 401, as a browser reports it. */
const UNPROVEN = /WebSocket connection to .* failed: HTTP Authentication failed/;

/** That a page went on with the bearer it had, in the conversation it had, and heard everything once. */
async function assertWentOn(chat: Chat, words: readonly string[]): Promise<void> {
  await chat.assertSaidOnce(...words);
  assert.equal(await chat.find('bot', GREETING).count(), 1, 'the conversation goes on');
  assert.deepEqual(chat.statusesOf(STS_PATH), [200], 'no new JWT');
  assert.deepEqual(chat.statusesOf(GRANT_PATH), [200], 'no new bearer');
  assert.ok(chat.statusesOf(START_PATH).every((status) => status === 200));
  assert.deepEqual(chat.uncaught, []);
  for (const line of chat.consoleErrors) assert.match(line, AWAY);
}

describe('kore-web-sdk in a browser, when servers come and go', { concurrency: true }, () => {
  let browser: Browser;
  let korePage: KorePage;
  before(async () => {
    [browser, korePage] = await Promise.all([startBrowser(), startKorePage()]);
  });
  after(async () => {
    await browser?.close();
    await korePage?.close();
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`goes on with its bearer after a restart by ${signal}`, async (t) => {
      const chain = await startChain(korePage.origin);
      t.after(() => chain.stop());
      const { issuerUrl } = await chain.addApp();
      const { idproxyUrl } = chain;
      const chat = await openChat(browser, korePage.toUrl({ issuerUrl, idproxyUrl, identity: 'alice@example.com' }));
      await chat.find('bot', GREETING).waitFor();
      await chat.say('before the restart');
      await chain.restart(signal);
      await until('the socket is closed', () => chat.sockets[0]?.isClosed === true);
      const { url } = await chat.waitForSocket(2);
      assert.match(url, /&isReconnect=true$/);
      await chat.say('after the restart');
      await assertWentOn(chat, ['before the restart', 'after the restart']);
    });
  }

  describe('two idproxies on one Redis, behind one address', () => {
    let redis: RedisProcess;
    let relay: TcpRelay;
    let a: Chain;
    let b: Chain;
    before(async () => {
      [redis, relay] = await Promise.all([startRedis(), startTcpRelay()]);
      const shared = { COUNTERSIGN_REDIS_URL: redis.url, COUNTERSIGN_PUBLIC_URL: relay.url };
      a = await startChain(korePage.origin, shared);
      b = await startChain(korePage.origin, { ...shared, COUNTERSIGN_KEYS_DIR: a.idproxy.keysDir });
    });
    after(async () => {
      await relay?.stop();
      await b?.stop();
      await a?.stop();
      await redis?.stop();
    });

    it('starts on one, opens its socket on the other, and the other way round, and on the one that is left', async () => {
      const { issuerUrl } = await a.addApp();
      const countOpened = ({ idproxy }: Chain): number => idproxy.stdout().split('"msg":"socket opened"').length - 1;
      const turn = (toStart: Chain, toSocket: Chain): void => {
        relay.routeBy((line) => (line.startsWith('GET /rtm/bot') ? toSocket : toStart).idproxy.idproxyPort);
        relay.cut();
      };
      turn(a, b);
      const chat = await openChat(
        browser,
        korePage.toUrl({ issuerUrl, idproxyUrl: relay.url, identity: 'alice@example.com', backoffMs: 300 }),
      );
      await chat.find('bot', GREETING).waitFor();
      await chat.say('start on A, socket on B');
      assert.deepEqual([countOpened(a), countOpened(b)], [0, 1]);

      turn(b, a);
      await chat.waitForSocket(2);
      await chat.say('start on B, socket on A');
      assert.deepEqual([countOpened(a), countOpened(b)], [1, 1]);

      turn(b, b);
      await a.idproxy.kill();
      await chat.waitForSocket(3);
      await chat.say('all on B');
      assert.deepEqual([countOpened(a), countOpened(b)], [1, 2]);
      await assertWentOn(chat, ['start on A, socket on B', 'start on B, socket on A', 'all on B']);
    });
  });

  describe('secure RTM', () => {
    let chain: Chain;
    let issuerUrl: string;
    const open = (identity: string, isSecure: boolean): Promise<Chat> => {
      const { idproxyUrl } = chain;
      const options = { issuerUrl, idproxyUrl, identity, isSecure, backoffMs: 300 };
      return openChat(browser, korePage.toUrl(options));
    };
    before(async () => {
      chain = await startChain(korePage.origin);
      ({ issuerUrl } = await chain.addApp(
        { jwe: { required: true }, requireSecureRtm: true },
        { isEncrypting: true, claims: { large: LARGE_CLAIM } },
      ));
    });
    after(() => chain?.stop());

    it('opens its sockets with a large token and a nonce, after a drop too', async () => {
      const chat = await open('secure@example.com', true);
      const { responseBody } = await chat.waitForExchange(STS_PATH);
      const { jwt } = JSON.parse(responseBody) as { jwt: string };
      assert.ok(jwt.length >= MIN_JWE_LENGTH, `${jwt.length} characters`);
      const { responseBody: started } = await chat.waitForExchange(START_PATH);
      const { nonce } = JSON.parse(started) as { nonce?: string };
      assert.ok(nonce);
      await chat.find('bot', GREETING).waitFor();
      await chat.say('in safety');
      await chat.find('bot', 'Signed: privateClaims large;').waitFor();
      await chain.restart('SIGTERM');
      await chat.waitForSocket(2);
      await chat.say('and after a drop');
      await assertWentOn(chat, ['in safety', 'and after a drop']);
      const log = chain.readLogs().join('');
      const value = LARGE_CLAIM.slice(0, 40);
      for (const secret of [jwt.slice(0, 60), jwt.slice(-60), nonce, value]) assert.ok(!log.includes(secret));
      assert.ok(!(await chat.page.content()).includes(value));
    });

    it('is refused to a stock page, which neither fails nor asks for tokens again and again', async () => {
      const chat = await open('stock@example.com', false);
      await chat.waitForExchange(START_PATH, 3);
      assert.deepEqual(chat.statusesOf(START_PATH), [200, 200, 200]);
      assert.deepEqual(chat.statusesOf(STS_PATH), [200]);
      assert.deepEqual(chat.statusesOf(GRANT_PATH), [200]);
      assert.deepEqual(chat.uncaught, []);
      assert.ok(chat.sockets.every(({ received }) => received.length === 0));
      for (const line of chat.consoleErrors) assert.match(line, UNPROVEN);
      assert.ok(chat.consoleErrors.length >= 2);
    });
  });
});
