import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { MAX_FRAME_BYTES, MAX_MESSAGE_LENGTH, MAX_WAITING_MESSAGES } from '../../../src/sessions/socket/limits.ts';
import { BOT_SILENT_TEXT } from '../../../src/sessions/socket/dialog.ts';
import type { Bot, BotMessage, BotSession } from '../../../src/sessions/bots/bot.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { ECHO, eventually, openClient, type PlatformUnderTest, startPlatformUnderTest } from './socket-under-test.ts';

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`a dialog on ${name}`, { timeout: 60_000 }, () => {
    const sessions: BotSession[] = [];
    const greeter: Bot = {
      name: 'greeter',
      onStart: (session) => {
        sessions.push(session);
        return Promise.resolve([{ text: 'welcome' }]);
      },
      onMessage: (_session, { text, payload }) =>
        Promise.resolve(
          text === 'template'
            ? [{ template: { type: 'template', payload: { template_type: 'quick_replies', text: 'Pick' } } }]
            : [{ text: `echo: ${text}${payload === undefined ? '' : ` (${payload})`}` }],
        ),
    };
    let platform: PlatformUnderTest;
    before(async () => {
      platform = await startPlatformUnderTest(open, { bot: greeter });
    });
    after(() => platform.close());

    test('ready, greeting, ack, answer in the form that clients render, pong', async () => {
      const app = await platform.register();
      const client = await platform.connect(app);
      assert.deepEqual(client.frames[0], { type: 'ready' });
      await client.until(({ type }) => type === 'bot_response');
      client.say('hello', 1795203764491);
      const ack = await client.until(({ type }) => type === 'ack');
      assert.deepEqual(ack, { ok: true, replyto: 1795203764491, type: 'ack' });
      const answer = await client.until((frame) => frame.message?.[0].cInfo.body === 'echo: hello');
      const { messageId, createdOn, timestamp, ...rest } = answer;
      assert.match(messageId, /^[\w-]+$/);
      assert.equal(Date.parse(createdOn), timestamp);
      assert.deepEqual(rest, {
        type: 'bot_response',
        from: 'bot',
        message: [
          {
            type: 'text',
            component: { type: 'text', payload: { text: 'echo: hello' } },
            cInfo: { body: 'echo: hello' },
          },
        ],
        botInfo: { taskBotId: 'st-1' },
        icon: '',
      });
      client.ws.send(JSON.stringify({ type: 'ping', resourceid: '/bot.message', id: 1 }));
      assert.deepEqual(await client.until(({ type }) => type === 'pong'), { type: 'pong' });
      client.ws.send(JSON.stringify({ message: { body: 'YES', renderMsg: 'Yes' }, id: 'a' }));
      await client.until((frame) => frame.message?.[0].cInfo.body === 'echo: Yes (YES)');
      assert.equal(sessions.at(-1)?.identity, 'alice@example.com');
      assert.equal(sessions.at(-1)?.clientId, app.clientId);
      assert.deepEqual(sessions.at(-1)?.UserContext.privateClaims, {});
      client.ws.close();
    });

    test('a dropped socket goes on: history, paging, no second greeting', async () => {
      const app = await platform.register();
      const first = await platform.connect(app);
      await first.until(({ type }) => type === 'bot_response');
      first.say('one');
      await first.until((frame) => frame.message?.[0].cInfo.body === 'echo: one');
      first.say('template');
      const template = await first.until((frame) => frame.message?.[0].component.type === 'template');
      assert.notEqual(template.icon, '');
      first.ws.terminate();

      const read = (query: string, path = '/api/botmessages/rtm') =>
        platform.request('GET', `${path}?botId=st-1${query}`, { token: first.bearer });
      const all = await eventually(async () => {
        const { body } = await read('&limit=50', '/api/1.1/botmessages/rtm');
        return body.messages.length === 5 && body;
      });
      const { messages } = all;
      assert.deepEqual(Object.keys(all).sort(), ['icon', 'messages', 'moreAvailable']);
      assert.deepEqual(
        messages.map((m: { type: string; components: { data: { text: string } }[] }) => [
          m.type,
          m.components[0]?.data.text,
        ]),
        [
          ['outgoing', 'welcome'],
          ['incoming', 'one'],
          ['outgoing', 'echo: one'],
          ['incoming', 'template'],
          ['outgoing', JSON.stringify(template.message[0].component.payload)],
        ],
      );
      assert.equal(messages[4]._id, template.messageId);
      assert.equal(all.icon, template.icon);
      const ids = messages.map(({ _id }: { _id: string }) => _id);
      const pages: Readonly<Record<string, readonly [query: string, ids: string[], more: boolean]>> = {
        newest: ['&limit=2', ids.slice(3), true],
        'passed over': ['&limit=2&offset=2', ids.slice(1, 3), true],
        'to the beginning': ['&limit=10&offset=4', ids.slice(0, 1), false],
        'past it': ['&limit=10&offset=40', [], false],
        'before a message': [`&limit=2&msgId=${ids[2]}`, ids.slice(0, 2), false],
        'after a message': [`&limit=2&forward=true&msgId=${ids[0]}`, ids.slice(1, 3), true],
        'another bot': ['x', [], false],
      };
      for (const [page, [query, expected, more]] of Object.entries(pages)) {
        const { body } = await read(query);
        assert.deepEqual(
          body.messages.map(({ _id }: { _id: string }) => _id),
          expected,
          page,
        );
        assert.equal(body.moreAvailable, more, page);
      }

      const greetings = sessions.length;
      const { body } = await platform.start(first.bearer);
      const second = await openClient(`${body.url}&isReconnect=true&ConnectionMode=Reconnect`);
      second.say('two');
      await second.until((frame) => frame.message?.[0].cInfo.body === 'echo: two');
      assert.equal(sessions.length, greetings);
      second.ws.close();
    });

    test('what is kept is sealed, and is the last fifty', async () => {
      const app = await platform.register();
      const client = await platform.connect(app, 'many@example.com');
      for (let at = 0; at < 30; at++) {
        client.say(`message-${at}`, at);
        await client.until((frame) => frame.message?.[0].cInfo.body === `echo: message-${at}`);
        await setTimeout(at > 10 ? 210 : 0);
      }
      const messages = await eventually(async () => {
        const { body } = await platform.request('GET', '/api/botmessages/rtm?botId=st-1&limit=100', {
          token: client.bearer,
        });
        return body.messages.at(-1)?.components[0].data.text === 'echo: message-29' && body.messages;
      });
      assert.equal(messages.length, 50);
      const [session] = sessions.slice(-1);
      const kept = await platform.store.conversations.read(session?.conversationId ?? '');
      assert.equal(kept.length, 50);
      assert.doesNotMatch(kept.join(''), /message-/);
      client.ws.close();
    });
  });
}

describe('frames', { timeout: 60_000 }, () => {
  let platform: PlatformUnderTest;
  let calls: string[] = [];
  let running = 0;
  let mostRunning = 0;
  let aborted = 0;
  const slow: Bot = {
    name: 'slow',
    onMessage: async (_session, { text }, signal) => {
      calls.push(text);
      mostRunning = Math.max(mostRunning, ++running);
      try {
        if (text === 'throw') throw new Error('something that was said');
        if (text === 'nonsense') return undefined as unknown as BotMessage[];
        if (text === 'hang') await new Promise(() => undefined);
        if (text.startsWith('wait')) await setTimeout(50, undefined, { signal });
        if (text === 'abort') await setTimeout(60_000, undefined, { signal }).catch(() => aborted++);
        return [{ text: `echo: ${text}` }];
      } finally {
        running--;
      }
    },
  };
  before(async () => {
    platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: slow, botTimeoutMs: 1_000 });
  });
  after(() => platform.close());

  test('answers come one at a time and in order; nobody reads on while the queue is full', async () => {
    calls = [];
    const client = await platform.connect(await platform.register());
    const texts = Array.from({ length: 15 }, (_, at) => `wait ${at}`);
    texts.forEach((text, at) => client.say(text, at));
    await client.until((frame) => frame.message?.[0].cInfo.body === 'echo: wait 14');
    assert.deepEqual(calls, texts);
    assert.deepEqual(
      client.texts(),
      texts.map((text) => `echo: ${text}`),
    );
    assert.equal(mostRunning, 1);
    assert.ok(MAX_WAITING_MESSAGES < texts.length);
    client.ws.close();
  });

  test('a bot that throws, hangs or answers nonsense: one polite message, a line without content, and on it goes', async () => {
    const client = await platform.connect(await platform.register());
    for (const text of ['throw', 'hang', 'nonsense']) {
      const before = client.texts().length;
      client.say(text);
      await eventually(() => client.texts().length > before);
      assert.equal(client.texts().at(-1), BOT_SILENT_TEXT, text);
    }
    client.say('after');
    await client.until((frame) => frame.message?.[0].cInfo.body === 'echo: after');
    const lines = platform.lines.filter((line) => line.includes('"msg":"bot"'));
    assert.equal(lines.length, 3);
    assert.doesNotMatch(platform.lines.join('\n'), /something that was said/);
    client.ws.close();
  });

  test('a bot is told when its time is up, also where the person left', async () => {
    const client = await platform.connect(await platform.register());
    client.say('abort');
    await eventually(() => calls.at(-1) === 'abort');
    client.ws.terminate();
    await eventually(() => aborted === 1);
  });

  const wrong: Readonly<Record<string, readonly [frame: string, expected: object]>> = {
    'not JSON': ['{', { type: 'error', code: 'malformed_frame' }],
    'not an object': ['[]', { type: 'error', code: 'malformed_frame' }],
    'a member twice': ['{"id":1,"id":2}', { type: 'error', code: 'malformed_frame' }],
    'too deep': [`{"a":${'['.repeat(40)}${']'.repeat(40)}}`, { type: 'error', code: 'malformed_frame' }],
    'a message without a text': ['{"message":{},"id":7}', { type: 'error', code: 'unsupported_message', replyto: 7 }],
    'a message that is a text': ['{"message":"hi","id":7}', { type: 'error', code: 'unsupported_message', replyto: 7 }],
    blanks: ['{"message":{"body":"  "},"id":7}', { type: 'error', code: 'unsupported_message', replyto: 7 }],
    'an id of another kind': ['{"message":{"body":"x"},"id":{}}', { type: 'error', code: 'unsupported_message' }],
    'an endless id': [
      `{"message":{"body":"x"},"id":"${'9'.repeat(200)}"}`,
      { type: 'error', code: 'unsupported_message' },
    ],
    'a long message': [
      JSON.stringify({ message: { body: 'x'.repeat(MAX_MESSAGE_LENGTH + 1) }, id: 'q' }),
      { type: 'error', code: 'message_too_long', replyto: 'q' },
    ],
  };
  for (const [what, [frame, expected]] of Object.entries(wrong)) {
    test(`dropped: ${what}`, async () => {
      const client = await platform.connect(await platform.register());
      client.ws.send(frame);
      const { msg, ...rest } = await client.until(({ type }) => type === 'error');
      assert.deepEqual(rest, expected);
      assert.equal(typeof msg, 'string');
      client.say('after');
      await client.until((answer) => answer.message?.[0].cInfo.body === 'echo: after');
      client.ws.close();
    });
  }

  test('unknown types, delivery acks and messages of blanks without a body are passed over', async () => {
    const client = await platform.connect(await platform.register());
    for (const frame of [
      { type: 'typing' },
      { type: 'ack', clientMessageId: 1, replyto: 1, status: 'delivered', id: 1 },
      { resourceid: '/bot.closeConversationSession', clientMessageId: 1 },
      { resourceid: '/bot.message', clientMessageId: 1 },
      { resourceid: '/other', message: { body: 'x' } },
      { type: 'user_message', message: { body: 'x' } },
    ])
      client.ws.send(JSON.stringify(frame));
    client.say('after');
    await client.until((answer) => answer.message?.[0].cInfo.body === 'echo: after');
    assert.deepEqual(
      client.frames.map(({ type }) => type),
      ['ready', 'ack', 'bot_response'],
    );
    client.ws.close();
  });

  test('a flood is dropped, then closed with 1008', async () => {
    const client = await platform.connect(await platform.register());
    for (let at = 0; at < 100; at++) client.ws.send('{"type":"ping"}');
    const { code } = await client.closed;
    assert.equal(code, 1008);
    assert.equal(client.frames.filter(({ type }) => type === 'pong').length, 20);
    assert.equal(client.frames.filter(({ code }) => code === 'too_fast').length, 10);
  });

  test('a flood of protocol pings, too', async () => {
    const client = await platform.connect(await platform.register());
    let pongs = 0;
    client.ws.on('pong', () => pongs++);
    for (let at = 0; at < 100; at++) client.ws.ping();
    assert.equal((await client.closed).code, 1008);
    assert.equal(pongs, 20);
  });

  test('a giant frame is closed with 1009, a binary one with 1003', async () => {
    const giant = await platform.connect(await platform.register());
    giant.ws.send('x'.repeat(MAX_FRAME_BYTES + 1));
    assert.equal((await giant.closed).code, 1009);
    const binary = await platform.connect(await platform.register());
    binary.ws.send(Buffer.from('{}'));
    assert.equal((await binary.closed).code, 1003);
  });

  test('compression is not agreed on, whatever the client offers', async () => {
    const client = await platform.connect(await platform.register());
    assert.equal(client.ws.extensions, '');
    client.ws.close();
  });

  test('one line when it opens, one when it closes; no sid, no bearer, no content anywhere', async () => {
    const client = await platform.connect(await platform.register());
    const from = platform.lines.length;
    client.say('content-that-is-private');
    await client.until(({ type }) => type === 'bot_response');
    client.ws.close(1000);
    const line = await eventually(() => platform.lines.slice(from).find((one) => one.includes('socket closed')));
    const { closeCode, framesIn, framesOut, sessionId, conversationId, clientId, seconds } = JSON.parse(line);
    assert.deepEqual({ closeCode, framesIn, framesOut }, { closeCode: 1000, framesIn: 1, framesOut: 3 });
    for (const text of [sessionId, conversationId, clientId]) assert.match(text, /^[\w.-]{10,}$/);
    assert.equal(typeof seconds, 'number');
    const all = platform.lines.join('\n');
    const sid = new URL(client.ws.url).searchParams.get('sid') ?? 'none';
    assert.ok(!all.includes(sid) && !all.includes(client.bearer) && !all.includes('content-that-is-private'));
    const metrics = await platform.metrics.registry.metrics();
    assert.match(metrics, /countersign_sockets_open \d/);
    assert.match(metrics, /countersign_socket_frames_total\{direction="in"\} \d/);
  });
});

test('without a bot there are no real-time sessions', async () => {
  const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: undefined });
  try {
    const bearer = await platform.exchange((await platform.register()).sign());
    const { status, body } = await platform.start(bearer);
    assert.equal(status, 404);
    assert.equal(body.errors[0].code, 404);
  } finally {
    await platform.close();
  }
});

test('the store cannot keep messages: the dialog goes on, one line says so', async () => {
  const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: ECHO });
  try {
    const client = await platform.connect(await platform.register());
    const { conversations } = platform.store;
    const append = conversations.append;
    conversations.append = () => Promise.reject(new Error('away'));
    for (const text of ['one', 'two']) {
      client.say(text);
      await client.until((frame) => frame.message?.[0].cInfo.body === `echo: ${text}`);
    }
    await eventually(() => platform.lines.some((line) => line.includes('messages are not kept')));
    assert.equal(platform.lines.filter((line) => line.includes('messages are not kept')).length, 1);
    conversations.append = append;
    client.ws.close();
  } finally {
    await platform.close();
  }
});
