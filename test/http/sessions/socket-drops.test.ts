import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { Bot } from '../../../src/sessions/bots/bot.ts';
import { BACKENDS, START_AT } from '../../support/idproxy-under-test.ts';
import {
  type Client,
  eventually,
  openClient,
  type PlatformUnderTest,
  startPlatformUnderTest,
} from './socket-under-test.ts';

const BOT_TIMEOUT_MS = 1_500;

/** A bot that answers when the test says so, and notes what it was asked and what was given up. */
interface HeldBot extends Bot {
  readonly asked: string[];
  readonly abandoned: string[];
  conversation: string;
  /** Lets it answer what it was asked and will be. */
  release(): void;
  hold(): void;
}

function createHeldBot(): HeldBot {
  let open = (): void => {};
  let gate = Promise.resolve();
  const bot: HeldBot = {
    name: 'held',
    asked: [],
    abandoned: [],
    conversation: '',
    release: () => open(),
    hold: () => {
      gate = new Promise((done) => (open = done));
      bot.asked.length = bot.abandoned.length = 0;
    },
    onMessage: async ({ conversationId }, { text }, signal) => {
      bot.conversation = conversationId;
      bot.asked.push(text);
      signal.addEventListener('abort', () => bot.abandoned.push(text), { once: true });
      await gate;
      return [{ text: `echo: ${text}` }];
    },
  };
  return bot;
}

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`what was taken goes on without its socket, on ${name}`, { timeout: 60_000 }, () => {
    const bot = createHeldBot();
    let platform: PlatformUnderTest;
    let app: Awaited<ReturnType<PlatformUnderTest['register']>>;
    before(async () => {
      const limits = { maxSocketsPerUser: 2, expiryCheckMs: 20 };
      platform = await startPlatformUnderTest(open, { bot, botTimeoutMs: BOT_TIMEOUT_MS, limits });
      app = await platform.register();
    });
    beforeEach(() => bot.hold());
    after(() => platform.close());

    const readTexts = async (bearer: string): Promise<string[]> => {
      const { status, body } = await platform.request('GET', '/api/botmessages/rtm?botId=st-1&limit=50', {
        token: bearer,
      });
      assert.equal(status, 200);
      return body.messages.map((one: { components: { data: { text: string } }[] }) => one.components[0]?.data.text);
    };
    /** Says these, and waits until each is acknowledged and the first is asked. */
    const sayAll = async (client: Client, ...texts: readonly string[]): Promise<void> => {
      texts.forEach((text, at) => client.say(text, at + 1));
      await eventually(() => client.frames.filter(({ type }) => type === 'ack').length === texts.length);
      await eventually(() => bot.asked.length === 1);
    };
    const countKept = async (): Promise<number> => (await platform.store.conversations.read(bot.conversation)).length;

    test('a message is kept before it is acknowledged', async () => {
      const client = await platform.connect(app, 'kept');
      const { append } = platform.store.conversations;
      let go = (): void => {};
      const gate = new Promise<void>((done) => (go = done));
      platform.store.conversations.append = async (...args) => {
        await gate;
        return append(...args);
      };
      try {
        client.say('one', 1);
        client.ws.send('{"type":"ping"}');
        await client.until(({ type }) => type === 'pong');
        await setTimeout(50);
        assert.ok(!client.frames.some(({ type }) => type === 'ack'));
        go();
        await client.until(({ type }) => type === 'ack');
        assert.deepEqual(await readTexts(client.bearer), ['one']);
      } finally {
        platform.store.conversations.append = append;
        bot.release();
      }
      client.ws.close();
    });

    test('the question that is out is answered into the history, and so are those that wait', async () => {
      const client = await platform.connect(app, 'dropped');
      await sayAll(client, 'one', 'two', 'three');
      client.ws.terminate();
      await setTimeout(50);
      assert.deepEqual(bot.abandoned, []);
      bot.release();
      const expected = ['one', 'two', 'three', 'echo: one', 'echo: two', 'echo: three'];
      await eventually(async () => (await readTexts(client.bearer)).length === expected.length);
      assert.deepEqual(await readTexts(client.bearer), expected);
      assert.deepEqual(bot.asked, ['one', 'two', 'three']);
    });

    test('the time limit of the bot holds', async () => {
      const client = await platform.connect(app, 'slow');
      await sayAll(client, 'never answered');
      client.ws.terminate();
      await eventually(() => bot.abandoned.length === 1);
      bot.release();
      await setTimeout(50);
      assert.deepEqual(await readTexts(client.bearer), ['never answered']);
    });

    test('a session that is revoked meanwhile asks nothing any more', async () => {
      const client = await platform.connect(app, 'revoked');
      await sayAll(client, 'one', 'two');
      client.ws.terminate();
      await client.closed;
      const from = performance.now();
      assert.equal((await platform.admin('POST', '/oauth/revoke', { token: client.bearer })).status, 200);
      await eventually(() => bot.abandoned.length === 1);
      assert.ok(performance.now() - from < 1_000, 'and not when the time limit of the bot is over');
      bot.release();
      await setTimeout(100);
      assert.deepEqual(bot.asked, ['one']);
      assert.equal(await countKept(), 2, 'both questions and no answer');
    });

    test('an open socket that is revoked: the same', async () => {
      const client = await platform.connect(app, 'revoked-open');
      await sayAll(client, 'one', 'two');
      await platform.admin('POST', '/oauth/revoke', { token: client.bearer });
      assert.equal((await client.closed).code, 4001);
      await eventually(() => bot.abandoned.length === 1);
      bot.release();
      await setTimeout(50);
      assert.deepEqual(bot.asked, ['one']);
    });

    test('what was erased meanwhile does not come back', async () => {
      const client = await platform.connect(app, 'erased');
      await sayAll(client, 'one', 'two');
      client.ws.terminate();
      const { body } = await platform.request('GET', '/api/1.1/userinfo', { token: client.bearer });
      // An answer that comes in the same moment.
      bot.release();
      await platform.store.identities.remove((body.userId as string).slice(2));
      await setTimeout(100);
      assert.equal(await countKept(), 0);
    });

    test('of many that a user left behind the oldest are given up', async () => {
      for (const text of ['first', 'second', 'third']) {
        const client = await platform.connect(app, 'leaving');
        client.say(text, 1);
        await eventually(() => bot.asked.includes(text));
        client.ws.terminate();
        await client.closed;
      }
      await eventually(() => bot.abandoned.length > 0);
      assert.deepEqual(bot.abandoned, ['first']);
      bot.release();
    });

    test('when the bearer ends, the question that is out is answered, and what waits is kept', async () => {
      const own = await platform.register({ bearerLifetimeSeconds: 60 });
      const client = await platform.connect(own, 'expiring');
      await sayAll(client, 'one', 'two');
      platform.clock.set(START_AT + 60);
      assert.equal((await client.closed).code, 4001);
      assert.deepEqual(bot.abandoned, []);
      bot.release();
      await eventually(async () => (await countKept()) === 3);
      await setTimeout(50);
      assert.deepEqual([bot.asked, await countKept()], [['one'], 3]);
      platform.clock.set(START_AT);
    });
  });
}

describe('a server that stops while the bot is being asked', { timeout: 60_000 }, () => {
  const start = async (bot: Bot): Promise<{ platform: PlatformUnderTest; client: Client; kept: string[][] }> => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot, botTimeoutMs: 60_000 });
    const kept: string[][] = [];
    const { append } = platform.store.conversations;
    platform.store.conversations.append = async (...args) => {
      await append(...args);
      kept.push([...args[2]]);
    };
    const client = await platform.connect(await platform.register());
    return { platform, client, kept };
  };

  test('has the answer sent and kept before it closes with 1012', async () => {
    const bot = createHeldBot();
    bot.hold();
    const { platform, client, kept } = await start(bot);
    const idle = await platform.connect(await platform.register(), 'bob');
    client.say('one', 1);
    client.say('two', 2);
    await eventually(() => client.frames.filter(({ type }) => type === 'ack').length === 2);
    const stopped = platform.close();
    assert.equal((await idle.closed).code, 1012, 'whoever waits for nothing is told at once');
    assert.notEqual(client.ws.readyState, client.ws.CLOSED);
    bot.release();
    assert.equal((await client.closed).code, 1012);
    await stopped;
    assert.deepEqual(client.texts(), ['echo: one', 'echo: two']);
    assert.equal(kept.length, 4);
  });

  test('waits for a dropped one, too', async () => {
    const bot = createHeldBot();
    bot.hold();
    const { platform, client, kept } = await start(bot);
    client.say('one', 1);
    await eventually(() => bot.asked.length === 1);
    client.ws.terminate();
    await client.closed;
    const stopped = platform.close();
    await setTimeout(50);
    bot.release();
    await stopped;
    assert.equal(kept.length, 2);
  });

  test('takes nothing more', async () => {
    const bot = createHeldBot();
    bot.hold();
    const { platform, client } = await start(bot);
    client.say('one', 1);
    await eventually(() => bot.asked.length === 1);
    const stopped = platform.close();
    await setTimeout(50);
    client.say('too late', 2);
    await setTimeout(50);
    bot.release();
    await stopped;
    assert.deepEqual(bot.asked, ['one']);
    assert.deepEqual(
      client.frames.filter(({ type }) => type === 'ack').map(({ replyto }) => replyto),
      [1],
    );
  });
});

describe('too many sockets of one user', { timeout: 60_000 }, () => {
  const pause = ({ ws }: Client): void => (ws as unknown as { _socket: { pause(): void } })._socket.pause();
  const LIMITS = { 'one session': { maxSocketsPerSession: 2 }, 'one user': { maxSocketsPerUser: 2 } };
  for (const [what, limits] of Object.entries(LIMITS)) {
    test(`${what}: one that is half-open makes room, one that lives does not`, async () => {
      const platform = await startPlatformUnderTest(BACKENDS.embedded, { limits });
      try {
        const app = await platform.register();
        const first = await platform.connect(app);
        const again = async (): Promise<Client> => openClient((await platform.start(first.bearer)).body.url);
        const second = await again();
        await assert.rejects(again(), /503/, 'both live');
        pause(first);
        const third = await again();
        for (const { ws } of [second, third]) assert.equal(ws.readyState, ws.OPEN);
        pause(second);
        pause(third);
        const [fourth, fifth] = await Promise.all([again(), again()]);
        assert.deepEqual([fourth.ws.readyState, fifth.ws.readyState], [1, 1]);
        await assert.rejects(again(), /503/);
        for (const { ws } of [first, second, third, fourth, fifth]) ws.terminate();
      } finally {
        await platform.close();
      }
    });
  }
});
