import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { Bot } from '../../../src/sessions/bots/bot.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import {
  type Client,
  eventually,
  openClient,
  type PlatformUnderTest,
  startPlatformUnderTest,
} from './socket-under-test.ts';

interface Greeter extends Bot {
  readonly starts: string[];
}

const createGreeter = (messages: readonly { readonly text: string }[], afterMs = 150): Greeter => {
  const starts: string[] = [];
  return {
    name: 'greeter',
    starts,
    onStart: async ({ botId }) => {
      starts.push(botId);
      await setTimeout(afterMs);
      return messages;
    },
    onMessage: (_session, { text }) => Promise.resolve([{ text: `echo: ${text}` }]),
  };
};

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`the greeting, on ${name}`, { timeout: 60_000 }, () => {
    const run = async (bot: Bot, act: (platform: PlatformUnderTest) => Promise<void>): Promise<void> => {
      const platform = await startPlatformUnderTest(open, { bot });
      try {
        await act(platform);
      } finally {
        await platform.close();
      }
    };
    /** Tabs of one user that open at the same moment. */
    const openTabs = async (
      platform: PlatformUnderTest,
      bearer: string,
      bots: readonly string[],
    ): Promise<Client[]> => {
      const started = await Promise.all(bots.map((botId) => platform.start(bearer, { botId })));
      return Promise.all(started.map(({ body }) => openClient(body.url)));
    };

    test('comes once, to each of several tabs that open at once, and is asked for once', async () => {
      const bot = createGreeter([{ text: 'welcome' }]);
      await run(bot, async (platform) => {
        const bearer = await platform.exchange((await platform.register()).sign());
        const tabs = await openTabs(platform, bearer, ['st-1', 'st-1', 'st-1', 'st-1']);
        for (const tab of tabs) await tab.until(({ type }) => type === 'bot_response');
        await setTimeout(400);
        for (const tab of tabs) assert.deepEqual(tab.texts(), ['welcome']);
        const ids = tabs.map(({ frames }) => frames.find(({ type }) => type === 'bot_response').messageId as string);
        assert.equal(new Set(ids).size, 1, 'the same message in all of them');
        assert.deepEqual(bot.starts, ['st-1']);
        const { body } = await platform.request('GET', '/api/botmessages/rtm?botId=st-1', { token: bearer });
        assert.equal(body.messages.length, 1);
        for (const { ws } of tabs) ws.close();
      });
    });

    test('of each bot comes', async () => {
      const bot = createGreeter([{ text: 'welcome' }]);
      await run(bot, async (platform) => {
        const bearer = await platform.exchange((await platform.register()).sign());
        const tabs = await openTabs(platform, bearer, ['st-1', 'st-2']);
        for (const tab of tabs) await tab.until(({ type }) => type === 'bot_response');
        assert.deepEqual(bot.starts.toSorted(), ['st-1', 'st-2']);
        for (const { ws } of tabs) ws.close();
      });
    });

    test('that does not come keeps nobody from an answer', async () => {
      await run(createGreeter([], 0), async (platform) => {
        const bearer = await platform.exchange((await platform.register()).sign());
        const tabs = await openTabs(platform, bearer, ['st-1', 'st-1']);
        const from = performance.now();
        for (const [at, tab] of tabs.entries()) {
          tab.say(`hello ${at}`);
          await tab.until((frame) => frame.message?.[0].cInfo.body === `echo: hello ${at}`);
        }
        assert.ok(performance.now() - from < 1_000);
        await setTimeout(600);
        for (const [at, tab] of tabs.entries()) assert.deepEqual(tab.texts(), [`echo: hello ${at}`]);
        for (const { ws } of tabs) ws.close();
      });
    });

    test('of a tab that is closed at once is in the history, and comes to the next', async () => {
      const bot = createGreeter([{ text: 'welcome' }]);
      await run(bot, async (platform) => {
        const first = await platform.connect(await platform.register());
        await eventually(() => bot.starts.length === 1);
        first.ws.terminate();
        const [next] = await openTabs(platform, first.bearer, ['st-1']);
        await next?.until(({ type }) => type === 'bot_response');
        assert.deepEqual([bot.starts.length, next?.texts()], [1, ['welcome']]);
        next?.ws.close();
      });
    });
  });
}
