import assert from 'node:assert/strict';
import type { Browser, Locator } from 'playwright-core';

import { openWatchedPage, type WatchedPage } from './browser.ts';

export const STS_PATH = '/api/users/sts';
export const GRANT_PATH = '/api/oAuth/token/jwtgrant';
export const START_PATH = '/api/rtm/start';
export const HISTORY_PATH = '/api/botmessages/rtm';
/** What the sandbox bot says in a new conversation, and never again. */
export const GREETING = 'Say something, or ask one of these:';

const WAIT_MS = 30_000;

/** One web socket of a page. */
export interface SocketSeen {
  readonly url: string;
  /** Texts of the frames. */
  readonly sent: readonly string[];
  readonly received: readonly string[];
  readonly isClosed: boolean;
}

/** A page with the chat of the published SDK, as a person uses it. */
export interface Chat extends WatchedPage {
  /** In the order in which the page opened them. */
  readonly sockets: readonly SocketSeen[];
  /** Bubbles of the bot, or of the person, that hold a text. */
  find(from: 'bot' | 'person', text: string): Locator;
  /** Types into the input, presses Enter, and waits until the bot's echo is in the window. */
  say(words: string): Promise<void>;
  /** Waits until the `count`-th socket that was opened is in use. */
  waitForSocket(count: number): Promise<SocketSeen>;
  /** Statuses of the answers on a path, in their order. */
  statusesOf(path: string): readonly number[];
  /** That each of these was said by the person once and is echoed by the bot once. */
  assertSaidOnce(...words: readonly string[]): Promise<void>;
}

const ITEMS = { bot: '.fromOtherUsers', person: '.fromCurrentUser' } as const;

/** Waits until something holds. @throws with `what` when it does not within `timeoutMs` */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = WAIT_MS): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Opens a page with a chat, in a profile of its own. */
export async function openChat(browser: Browser, url: string): Promise<Chat> {
  const watched = await openWatchedPage(browser);
  const { page, exchanges } = watched;
  const sockets: { url: string; sent: string[]; received: string[]; isClosed: boolean }[] = [];
  page.on('websocket', (socket) => {
    const seen = { url: socket.url(), sent: [] as string[], received: [] as string[], isClosed: false };
    sockets.push(seen);
    socket.on('framesent', ({ payload }) => seen.sent.push(payload.toString()));
    socket.on('framereceived', ({ payload }) => seen.received.push(payload.toString()));
    socket.on('close', () => (seen.isClosed = true));
  });
  const find: Chat['find'] = (from, text) => page.locator(`.chat-container ${ITEMS[from]}`, { hasText: text });

  page.setDefaultTimeout(WAIT_MS);
  await page.goto(url);
  return {
    ...watched,
    sockets,
    find,
    say: async (words) => {
      await page.locator('.chatInputBox').click();
      await page.keyboard.type(words);
      await page.keyboard.press('Enter');
      await find('bot', `You said: ${words}`).first().waitFor();
    },
    waitForSocket: async (count) => {
      const isInUse = (): boolean => sockets[count - 1]?.received.includes('{"type":"ready"}') ?? false;
      await until(`socket ${count} of ${sockets.length}`, isInUse);
      return sockets[count - 1] as SocketSeen;
    },
    statusesOf: (path) => exchanges.filter((exchange) => exchange.path === path).map(({ status }) => status),
    assertSaidOnce: async (...words) => {
      for (const text of words) {
        assert.equal(await find('bot', `You said: ${text}`).count(), 1, `the echo of "${text}"`);
        assert.equal(await find('person', text).count(), 1, `"${text}"`);
      }
    },
  };
}
