import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';

import { startBrowser } from '../support/browser.ts';
import { type AppWithIssuer, type Chain, startChain } from '../support/kore-chain.ts';
import {
  type Chat,
  GRANT_PATH,
  GREETING,
  HISTORY_PATH,
  openChat,
  START_PATH,
  STS_PATH,
  until,
} from '../support/kore-chat.ts';
import { type KorePage, type MintBy, type PageOptions, startKorePage } from '../support/kore-page.ts';

const PAGE_STS_PATH = `${STS_PATH}/`;

/** The bearer of the `count`-th exchange of a page. */
async function readBearer(chat: Chat, count = 1): Promise<string> {
  const { responseBody } = await chat.waitForExchange(GRANT_PATH, count);
  return (JSON.parse(responseBody) as { authorization: { accessToken: string } }).authorization.accessToken;
}

const REFUSED_START = /^Failed to load resource: .* status of 401 .*\/api\/rtm\/start\)$/;

/** That a page came back with exactly one new JWT and bearer, and that its conversation goes on. */
async function assertRenewedOnce(chat: Chat, stsPath: string, words: readonly [string, string]): Promise<void> {
  const { url } = await chat.waitForSocket(2);
  assert.match(url, /&isReconnect=true$/);
  await chat.say(words[1]);
  await chat.assertSaidOnce(...words);
  assert.equal(await chat.find('bot', GREETING).count(), 1, 'the conversation goes on');
  assert.deepEqual(chat.statusesOf(stsPath), [200, 200], 'one JWT more');
  assert.deepEqual(chat.statusesOf(GRANT_PATH), [200, 200], 'one exchange more');
  assert.deepEqual(chat.statusesOf(START_PATH), [200, 401, 200]);
  assert.equal(chat.sockets.length, 2);
  assert.deepEqual(chat.uncaught, []);
  assert.equal(chat.consoleErrors.length, 1, chat.consoleErrors.join('\n'));
  assert.match(chat.consoleErrors[0] ?? '', REFUSED_START);
  // What was said on both sides of the renewal is one history.
  const reloaded = chat.waitForExchange(HISTORY_PATH, 2);
  await chat.page.reload();
  const { responseBody } = await reloaded;
  for (const text of words) assert.equal(responseBody.split(`"${text}"`).length - 1, 1, text);
}

describe('kore-web-sdk in a browser: bearers, reloads, buttons', { concurrency: true }, () => {
  let browser: Browser;
  let korePage: KorePage;
  let chain: Chain;
  let app: AppWithIssuer;
  const open = (options: Partial<PageOptions> & { identity: string }): Promise<Chat> =>
    openChat(browser, korePage.toUrl({ issuerUrl: app.issuerUrl, idproxyUrl: chain.idproxyUrl, ...options }));

  before(async () => {
    [browser, korePage] = await Promise.all([startBrowser(), startKorePage()]);
    chain = await startChain(korePage.origin);
    app = await chain.addApp({ allowAnonymous: true });
  });
  after(async () => {
    await browser?.close();
    await korePage?.close();
    await chain?.stop();
  });

  const WAYS: readonly MintBy[] = ['JWTUrl', 'JWTAsertion'];
  for (const mintBy of WAYS) {
    it(`renews a revoked bearer once, by ${mintBy}`, async () => {
      const chat = await open({ identity: `revoked-${mintBy}@example.com`, mintBy });
      await chat.find('bot', GREETING).waitFor();
      await chat.say('before the revocation');
      const first = await chat.waitForSocket(1);
      const revokedAt = performance.now();
      assert.equal((await chain.callOauth('revoke', await readBearer(chat))).status, 200);
      await until('the socket is closed', () => first.isClosed, 1_000 - (performance.now() - revokedAt));
      const stsPath = mintBy === 'JWTUrl' ? STS_PATH : PAGE_STS_PATH;
      await assertRenewedOnce(chat, stsPath, ['before the revocation', 'after the revocation']);
    });
  }

  it('shows after a reload what was said', async () => {
    const chat = await open({ identity: 'reloading@example.com' });
    await chat.find('bot', GREETING).waitFor();
    const words = ['the first of three', 'the second of three', 'the third of three'] as const;
    for (const text of words.slice(0, 2)) await chat.say(text);
    await chat.page.reload();
    await chat.find('bot', `You said: ${words[1]}`).waitFor();
    await chat.page.locator('.endChatContainer').waitFor();
    await chat.waitForSocket(2);
    await chat.say(words[2]);
    await chat.assertSaidOnce(...words);
    assert.equal(await chat.find('bot', GREETING).count(), 1);
    const bubbles = await chat.page.locator('.chat-container .fromCurrentUser').allInnerTexts();
    assert.deepEqual(
      words.map((text) => bubbles.findIndex((bubble) => bubble.includes(text))),
      [0, 1, 2],
      'in their order',
    );
    assert.deepEqual([...chat.uncaught, ...chat.consoleErrors], []);
  });

  it('takes a pressed quick reply for a message', async () => {
    const chat = await open({ identity: 'pressing@example.com' });
    await chat.find('bot', GREETING).waitFor();
    await chat.page.locator('.quickReply', { hasText: 'What do you know?' }).click();
    await chat.find('bot', 'You said: What do you know?').waitFor();
    await chat.find('person', 'What do you know?').waitFor();
    assert.equal(await chat.page.locator('.quickReply').count(), 0, 'the buttons are gone');
    const frame = JSON.parse(chat.sockets[0]?.sent[0] ?? '') as { message: object };
    assert.deepEqual(frame.message, { body: 'What do you know?', renderMsg: 'What do you know?' });
    assert.deepEqual([...chat.uncaught, ...chat.consoleErrors], []);
  });

  it("shows a known user the visitor's conversation, and ends the visitor", async () => {
    const visitor = await open({
      identity: 'visitor-0c6f1b4e',
      mintBy: 'JWTAsertion',
      mint: { isAnonymous: true },
    });
    await visitor.find('bot', GREETING).waitFor();
    await visitor.say('which shoes are waterproof?');
    await visitor.find('bot', 'You are an anonymous user').first().waitFor();
    const bearer = await readBearer(visitor);
    const known = await open({
      identity: 'merging@example.com',
      mintBy: 'JWTAsertion',
      mint: { identityToMerge: 'visitor-0c6f1b4e' },
    });
    await known.find('bot', 'You said: which shoes are waterproof?').waitFor();
    await until("the visitor's socket is closed", () => visitor.sockets[0]?.isClosed === true, 1_000);
    const userinfo = await fetch(`${chain.idproxyUrl}/api/1.1/userinfo`, {
      headers: { authorization: `bearer ${bearer}` },
    });
    assert.equal(userinfo.status, 401);
    assert.deepEqual(await (await chain.callOauth('introspect', bearer)).json(), { active: false });

    await known.page.locator('.endChatContainer').waitFor();
    await known.say('and in size 43?');
    await known.find('bot', 'You are a known user').first().waitFor();
    await known.assertSaidOnce('which shoes are waterproof?', 'and in size 43?');
    assert.equal(await known.find('bot', GREETING).count(), 1, 'it is the conversation of before');
    assert.deepEqual([...known.uncaught, ...known.consoleErrors, ...visitor.uncaught], []);
  });
});
