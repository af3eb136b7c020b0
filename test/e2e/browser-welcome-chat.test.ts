import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Browser, Frame, FrameLocator, Page } from 'playwright-core';
import { openWatchedPage, startBrowser, type WatchedPage } from '../support/browser.ts';
import { type CountersignProcess, startCountersign } from '../support/processes.ts';

const STS_PATH = '/api/users/sts';
const GRANT_PATH = '/api/oAuth/token/jwtgrant';
const START_PATH = '/api/rtm/start';
const CHAT_PATH = '/welcome/chat.html';
/** What the sandbox bot says first. */
const GREETING = /This is the sandbox of Countersign/;

const findChat = (page: Page): FrameLocator => page.frameLocator('#chat iframe');
const readOutcome = (page: Page): Promise<string> => page.locator('#chat .outcome').innerText();

async function waitForOutcome(page: Page, text: string): Promise<void> {
  await page.locator('#chat .outcome', { hasText: text }).waitFor();
}

/** Presses the step's button, waits until the bot has greeted. */
async function openChat(page: Page, button = 'Open the chat'): Promise<FrameLocator> {
  await page.getByRole('button', { name: button, exact: true }).click();
  const chat = findChat(page);
  await chat.locator('.fromOtherUsers', { hasText: GREETING }).first().waitFor();
  return chat;
}

/** Writes a message and waits until the bot repeats it. */
async function say(page: Page, words: string): Promise<void> {
  const chat = findChat(page);
  await chat.getByRole('textbox', { name: 'Message' }).click();
  await page.keyboard.type(words);
  await page.keyboard.press('Enter');
  await chat
    .locator('.fromOtherUsers', { hasText: `You said: ${words}` })
    .last()
    .waitFor();
}

function getChatFrame(page: Page): Frame {
  const frame = page.frames().find((candidate) => candidate.url().endsWith(CHAT_PATH));
  assert.ok(frame, 'the chat has a frame');
  return frame;
}

describe('the chat of the demo page', () => {
  let countersign: CountersignProcess;
  let browser: Browser;
  const openPage = async (url = countersign.issuerUrl): Promise<WatchedPage> => {
    const watched = await openWatchedPage(browser);
    await watched.page.goto(`${url}/`);
    return watched;
  };

  before(async () => {
    [countersign, browser] = await Promise.all([startCountersign(['start']), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await countersign?.stop();
  });

  it('is a conversation with the bot, by the published SDK, once it is asked for', async () => {
    const { page, uncaught, consoleErrors, exchanges, waitForExchange } = await openPage();
    assert.ok(!exchanges.some(({ path }) => path === CHAT_PATH || path === STS_PATH), 'nothing was minted yet');
    await page.getByLabel('Identity', { exact: true }).fill('carol@example.com');
    await openChat(page);
    assert.equal(await readOutcome(page), 'Connected as carol@example.com.');
    await say(page, 'is anybody there?');

    const minted = await waitForExchange(STS_PATH);
    assert.match(minted.requestHeaders['content-type'] ?? '', /^application\/x-www-form-urlencoded/);
    assert.match(minted.requestBody, /&identity=carol%40example\.com&aud=&isAnonymous=false$/);
    assert.equal((await waitForExchange(GRANT_PATH)).status, 200);
    assert.equal((await waitForExchange(START_PATH)).status, 200);
    for (const path of [STS_PATH, GRANT_PATH, START_PATH]) {
      assert.equal(exchanges.filter((exchange) => exchange.path === path).length, 1, path);
    }
    const origins = new Set(
      exchanges.filter(({ url }) => !url.startsWith('data:')).map(({ url }) => new URL(url).origin),
    );
    assert.deepEqual([...origins].sort(), [countersign.issuerUrl, countersign.idproxyUrl].sort());
    const adminToken = /admin token[^:]*: (\S+)/.exec(countersign.stdout())?.[1] ?? '';
    assert.ok(adminToken.length >= 43, 'the banner has the admin token');
    const shown = exchanges.map(({ responseBody }) => responseBody).join('');
    assert.ok(!`${shown}${await getChatFrame(page).content()}`.includes(adminToken), 'the chat has it not');
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('takes a pressed button for a message', async () => {
    const { page, uncaught, consoleErrors } = await openPage();
    const chat = await openChat(page);
    await chat.locator('.quickReply', { hasText: 'Who am I?' }).click();
    await chat.locator('.fromOtherUsers', { hasText: 'You said: Who am I?' }).waitFor();
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('takes an anonymous user', async () => {
    const { page, uncaught, consoleErrors, waitForExchange } = await openPage();
    await page.getByLabel('Anonymous').check();
    const chat = await openChat(page);
    await chat.getByText('You are an anonymous user').first().waitFor();
    // Only the frame is believed.
    await page.evaluate(`postMessage({ kind: 'failed', words: 'forged' }, location.origin)`);
    await page.evaluate('new Promise((done) => setTimeout(done, 100))');
    assert.equal(await readOutcome(page), 'Connected as an anonymous user.');
    assert.equal((await waitForExchange(STS_PATH)).requestBody, '{"isAnonymous":true}');
    await say(page, 'who am I?');
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('begins anew for another identity', async () => {
    const { page, uncaught, consoleErrors, waitForExchange } = await openPage();
    await openChat(page);
    await say(page, 'between alice and the bot');
    await page.getByLabel('Identity', { exact: true }).fill('dave@example.com');
    await openChat(page, 'Start the chat again');
    await waitForOutcome(page, 'Connected as dave@example.com.');
    assert.match((await waitForExchange(STS_PATH, 2)).requestBody, /&identity=dave%40example\.com&/);
    assert.equal((await waitForExchange(GRANT_PATH, 2)).status, 200);
    await say(page, 'good morning');
    assert.equal(await page.locator('#chat iframe').count(), 1);
    assert.equal(await findChat(page).getByText('between alice and the bot').count(), 0);
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('leaves the other steps as they are', async () => {
    const { page, uncaught, consoleErrors } = await openPage();
    await openChat(page);
    for (const name of ['Mint a token', 'Exchange it', 'Ask with the bearer']) {
      await page.getByRole('button', { name, exact: true }).click();
      await page.locator('body:not([aria-busy])').waitFor();
    }
    assert.match(await page.locator('#ask .outcome').innerText(), /^You are alice@example\.com\. /);
    await say(page, 'still there?');
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('works from the keyboard alone, and can be left again', async () => {
    const { page } = await openPage();
    const readFocus = (): Promise<string> =>
      page.evaluate<string>('document.activeElement.id || document.activeElement.tagName');
    const tabTo = async (name: string): Promise<void> => {
      for (let presses = 0; (await readFocus()) !== name; presses += 1) {
        assert.ok(presses < 30, `${name} is reached`);
        await page.keyboard.press('Tab');
      }
    };
    await tabTo('chat-button');
    await page.keyboard.press('Enter');
    await findChat(page).locator('.fromOtherUsers', { hasText: GREETING }).first().waitFor();
    await tabTo('IFRAME');
    const field = findChat(page).getByRole('textbox', { name: 'Message' });
    await field.and(findChat(page).locator(':focus')).waitFor();
    await page.keyboard.type('by hand');
    await page.keyboard.press('Enter');
    await findChat(page).locator('.fromOtherUsers', { hasText: 'You said: by hand' }).waitFor();
    for (let presses = 0; (await readFocus()) === 'IFRAME'; presses += 1) {
      assert.ok(presses < 20, 'the frame is no trap');
      await page.keyboard.press('Shift+Tab');
    }
    assert.equal(await page.getByRole('status').filter({ hasText: 'Connected as' }).count(), 1, 'it is announced');
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`fits a narrow screen, ${colorScheme}`, async () => {
      const { page, consoleErrors } = await openPage();
      await page.setViewportSize({ width: 390, height: 844 });
      await page.emulateMedia({ colorScheme });
      await openChat(page);
      await say(page, 'a longer message that has to be broken into several lines on a narrow screen');
      assert.equal(await page.evaluate<number>('document.documentElement.scrollWidth'), 390);
      const frame = getChatFrame(page);
      assert.ok(await frame.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'));
      const color = await frame.evaluate<string>(
        `getComputedStyle(document.querySelector('.kore-chat-body')).backgroundColor`,
      );
      assert.equal(Number(/\d+/.exec(color)?.[0]) < 128, colorScheme === 'dark', color);
      assert.deepEqual(consoleErrors, []);
    });
  }

  it('runs under a policy that refuses handlers in markup, other servers and pictures from elsewhere', async () => {
    const { page, consoleErrors } = await openPage();
    await openChat(page);
    const frame = getChatFrame(page);
    await frame.evaluate(
      `document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="document.title = 1"><img src="http://127.0.0.1:1/x">')`,
    );
    await assert.rejects(frame.evaluate(`fetch('http://127.0.0.1:1/')`));
    assert.equal(await frame.evaluate(`open('about:blank')`), null, 'no window opens');
    assert.equal(await frame.evaluate('document.title'), 'Countersign: chat');
    const refused = consoleErrors.join('\n');
    for (const directive of ['script-src', 'img-src', `connect-src 'self' http://127`]) {
      assert.ok(refused.includes(directive), directive);
    }
  });

  it('signs nobody in where it is opened alone or framed by another site', async () => {
    const site = createServer((_req, res) => {
      res.setHeader('content-type', 'text/html');
      res.end(`<title>Elsewhere</title><iframe src="${countersign.issuerUrl}${CHAT_PATH}" data-identity="x"></iframe>`);
    });
    site.listen(0, '127.0.0.1');
    await once(site, 'listening');
    try {
      const { page, exchanges, consoleErrors, waitForExchange } = await openWatchedPage(browser);
      await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`, { waitUntil: 'networkidle' });
      assert.match(consoleErrors.join('\n'), /frame-ancestors 'self'/);
      await page.goto(`${countersign.issuerUrl}${CHAT_PATH}`, { waitUntil: 'networkidle' });
      await waitForExchange('/welcome/chat.js');
      assert.deepEqual(
        exchanges.filter(({ path }) => path.startsWith('/api/')),
        [],
      );
    } finally {
      site.closeAllConnections();
      site.close();
    }
  });

  it('says in words what the issuer refuses, and that nobody answers', async () => {
    const other = await startCountersign(['start']);
    try {
      const { page } = await openPage(other.issuerUrl);
      await page.getByLabel('Identity', { exact: true }).fill('');
      await page.getByRole('button', { name: 'Open the chat' }).click();
      await waitForOutcome(page, 'Refused (400): "identity"');
      await other.stop();
      await page.getByRole('button', { name: 'Start the chat again' }).click();
      assert.match(await readOutcome(page), /^Connecting as/);
      await waitForOutcome(page, 'No connection within 10 s. Are both servers running?');
    } finally {
      await other.stop();
    }
  });

  it('says so where the server has no real-time sessions', async () => {
    const silent = await startCountersign(['start'], { COUNTERSIGN_BOT: 'none' });
    try {
      const { page, uncaught, consoleErrors } = await openPage(silent.issuerUrl);
      await waitForOutcome(page, 'This server offers no real-time sessions: it runs with COUNTERSIGN_BOT=none.');
      assert.ok(await page.getByRole('button', { name: 'Open the chat' }).isDisabled());
      assert.deepEqual([...uncaught, ...consoleErrors], []);
    } finally {
      await silent.stop();
    }
  });
});
