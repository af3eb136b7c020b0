import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { Redis } from 'ioredis';
import { WebSocket } from 'ws';

import { Secret } from '../../../src/core/secret.ts';
import type { Bot } from '../../../src/sessions/bots/bot.ts';
import { createEmbeddedStore } from '../../../src/stores/embedded.ts';
import { ANSWER_GRACE_MS, MAX_UNSENT_BYTES } from '../../../src/sessions/socket/limits.ts';
import { createRedisStore } from '../../../src/stores/redis.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { BACKENDS, type OpenBackend, START_AT } from '../../support/idproxy-under-test.ts';
import { createTempFolder, type RedisProcess, startRedis } from '../../support/processes.ts';
import {
  type Client,
  ECHO,
  eventually,
  openClient,
  openRefused,
  type PlatformUnderTest,
  startPlatformUnderTest,
} from './socket-under-test.ts';

const openRedis =
  (redis: RedisProcess): OpenBackend =>
  () =>
    Promise.resolve({
      store: createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined }),
      end: () => Promise.resolve(),
    });

const openCount = async ({ metrics }: PlatformUnderTest): Promise<number> =>
  Number(/countersign_sockets_open (\d+)/.exec(await metrics.registry.metrics())?.[1]);

/** Two instances on one backend. */
const PAIRS: Readonly<Record<string, () => Promise<{ open: OpenBackend; end: () => Promise<void> }>>> = {
  'one SQLite file': async () => {
    const folder = await createTempFolder();
    return {
      open: (clock) =>
        Promise.resolve({
          store: createEmbeddedStore({ path: join(folder, 'test.db'), clock }),
          end: () => Promise.resolve(),
        }),
      end: () => rm(folder, { recursive: true, force: true }),
    };
  },
  'one Redis': async () => {
    const redis = await startRedis();
    return { open: openRedis(redis), end: () => redis.stop() };
  },
};

for (const [name, create] of Object.entries(PAIRS)) {
  describe(`two instances on ${name}`, { timeout: 60_000 }, () => {
    let one: PlatformUnderTest;
    let two: PlatformUnderTest;
    let end: () => Promise<void>;
    const clock = createFakeClock(START_AT);

    before(async () => {
      const backend = await create();
      end = backend.end;
      // Nothing but the feed of endings closes anything here.
      const limits = { recheckMs: 600_000 };
      one = await startPlatformUnderTest(backend.open, { clock, limits });
      two = await startPlatformUnderTest(backend.open, { clock, limits });
    });
    after(async () => {
      await one.close();
      await two.close();
      await end();
    });

    const connectToTwo = async (bearer: string): Promise<Client> => {
      const { body } = await one.start(bearer);
      return openClient((body.url as string).replace(`:${one.port}/`, `:${two.port}/`));
    };
    const expectClosed = async (client: Client, code: number, act: () => Promise<unknown>): Promise<void> => {
      const from = performance.now();
      await act();
      const { code: got, reason } = await client.closed;
      assert.equal(got, code, reason);
      assert.ok(performance.now() - from < 1_000, `${performance.now() - from} ms`);
    };

    test('started on one, opened on the other, once', async () => {
      const bearer = await one.exchange((await one.register()).sign());
      const { body } = await one.start(bearer);
      const there = (body.url as string).replace(`:${one.port}/`, `:${two.port}/`);
      const attempts = await Promise.allSettled([body.url, there, body.url, there].map((url) => openClient(url)));
      assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
      for (const attempt of attempts) if (attempt.status === 'fulfilled') attempt.value.ws.terminate();
    });

    test('a revoked session, within a second; a new start is 401', async () => {
      const app = await one.register();
      const bearer = await one.exchange(app.sign());
      const client = await connectToTwo(bearer);
      const other = await connectToTwo(await one.exchange(app.sign()));
      await expectClosed(client, 4001, async () => {
        const { status } = await one.admin('POST', '/oauth/revoke', { token: bearer });
        assert.equal(status, 200);
      });
      assert.equal((await one.start(bearer)).status, 401);
      assert.equal(other.ws.readyState, WebSocket.OPEN);
      other.ws.close();
    });

    test('an erased user', async () => {
      const bearer = await one.exchange((await one.register()).sign());
      const client = await connectToTwo(bearer);
      const { body } = await one.request('GET', '/api/1.1/userinfo', { token: bearer });
      await expectClosed(client, 4001, () => one.store.identities.remove((body.userId as string).slice(2)));
      assert.equal((await one.start(bearer)).status, 401);
    });

    test('a merge: both sockets close, the known user goes on in the conversation of the anonymous one', async () => {
      const app = await one.register({ allowAnonymous: true });
      const known = await one.exchange(app.sign());
      const anonymous = await one.exchange(app.sign({ sub: 'anon-1', isAnonymous: true }));
      const [knownClient, anonymousClient] = [await connectToTwo(known), await connectToTwo(anonymous)];
      anonymousClient.say('before the merge');
      await anonymousClient.until(({ type }) => type === 'bot_response');
      await one.exchange(app.sign({ identityToMerge: 'anon-1' }));
      assert.equal((await knownClient.closed).code, 4002);
      assert.equal((await anonymousClient.closed).code, 4001);
      const { body } = await one.request('GET', '/api/botmessages/rtm?botId=st-1', { token: known });
      assert.equal(body.messages[0].components[0].data.text, 'before the merge');
      const again = await connectToTwo(known);
      again.ws.close();
    });

    test('an app that is disabled, restricted to other bots, or deleted', async () => {
      const changes: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
        disabled: (id) => one.admin('PATCH', `/admin/apps/${id}`, { enabled: false }),
        'other bots': (id) => one.admin('PATCH', `/admin/apps/${id}`, { bots: ['st-2'] }),
        'secure RTM': (id) => one.admin('PATCH', `/admin/apps/${id}`, { requireSecureRtm: true }),
      };
      for (const [what, change] of Object.entries(changes)) {
        const app = await one.register();
        const client = await connectToTwo(await one.exchange(app.sign()));
        await change(app.clientId);
        const { code } = await client.closed;
        assert.equal(code, 4003, what);
      }
      const app = await one.register();
      const client = await connectToTwo(await one.exchange(app.sign()));
      await one.admin('DELETE', `/admin/apps/${app.clientId}`);
      assert.ok([4001, 4003].includes((await client.closed).code));
    });
  });
}

describe('the end of a bearer', { timeout: 60_000 }, () => {
  test('closes its socket; then a start is 401, and a new assertion opens again', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { limits: { expiryCheckMs: 20 } });
    try {
      const app = await platform.register({ bearerLifetimeSeconds: 60 });
      const client = await platform.connect(app);
      platform.clock.set(START_AT + 59);
      await setTimeout(100);
      assert.equal(client.ws.readyState, WebSocket.OPEN);
      platform.clock.set(START_AT + 60);
      assert.equal((await client.closed).code, 4001);
      assert.equal((await platform.start(client.bearer)).status, 401);
      (await platform.connect(app)).ws.close();
    } finally {
      await platform.close();
    }
  });

  test('an ending that was told to nobody is found by looking', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { limits: { recheckMs: 50 } });
    try {
      const client = await platform.connect(await platform.register());
      const { find } = platform.store.sessions;
      platform.store.sessions.find = () => Promise.resolve(undefined);
      assert.equal((await client.closed).code, 4001);
      platform.store.sessions.find = find;
    } finally {
      await platform.close();
    }
  });

  test('what ends while the socket is being opened is found at once', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { limits: { recheckMs: 600_000 } });
    try {
      const bearer = await platform.exchange((await platform.register()).sign());
      const { url } = (await platform.start(bearer)).body;
      const { find } = platform.store.sessions;
      platform.store.sessions.find = async (tag, key) => {
        const found = await find(tag, key);
        await platform.store.sessions.revoke(tag, key);
        // Until everyone was told, among whom this socket is not yet.
        await setTimeout(400);
        return found;
      };
      const ws = new WebSocket(url);
      const code = await new Promise<number>((resolve) => {
        ws.once('close', resolve);
      });
      assert.equal(code, 4001);
    } finally {
      await platform.close();
    }
  });
});

describe('a dead or slow client', { timeout: 60_000 }, () => {
  test('many that do not read share one budget; whoever reads stays', async () => {
    const big: Bot = { name: 'big', onMessage: () => Promise.resolve([{ text: 'x'.repeat(2_000_000) }]) };
    const limits = { maxUnsentBytes: 100_000_000, maxUnsentBytesInAll: 4_000_000, expiryCheckMs: 100 };
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: big, limits });
    try {
      const app = await platform.register();
      const reading = await platform.connect(app, 'reader');
      const silent = [await platform.connect(app, 'one'), await platform.connect(app, 'two')];
      for (const { ws } of silent) (ws as unknown as { _socket: { pause(): void } })._socket.pause();
      for (let at = 0; at < 8; at++) for (const client of silent) client.say('more', at);
      const lines = await eventually(() => {
        const closed = platform.lines.filter((one) => one.includes('socket closed'));
        return closed.length === 0 ? undefined : closed;
      });
      for (const line of lines) assert.equal(JSON.parse(line).closeCode, 1013);
      reading.say('still there', 1);
      await reading.until(({ type }) => type === 'bot_response');
      for (const { ws } of [reading, ...silent]) ws.terminate();
    } finally {
      await platform.close();
    }
  });

  test('one that does not answer a ping is cut; one that does stays', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { limits: { heartbeatMs: 150 } });
    try {
      const app = await platform.register();
      const [alive, silent] = [await platform.connect(app), await platform.connect(app, 'bob')];
      // Half-open: the connection stands, and nobody is there.
      (silent.ws as unknown as { _socket: { pause(): void } })._socket.pause();
      await eventually(async () => (await openCount(platform)) === 1);
      await setTimeout(500);
      assert.equal(alive.ws.readyState, WebSocket.OPEN);
      assert.equal(await openCount(platform), 1);
      silent.ws.terminate();
      alive.ws.close();
    } finally {
      await platform.close();
    }
  });

  test('one that talks and never reads is closed, and what waits for it stays bounded', async () => {
    const text = 'x'.repeat(500_000);
    const big: Bot = { name: 'big', onMessage: () => Promise.resolve([{ text }]) };
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: big });
    const client = await platform.connect(await platform.register());
    // The server's sockets live in this process, too: what waits in each after it was sent something.
    const { send } = WebSocket.prototype;
    const unsent: number[] = [];
    let longest = 0;
    WebSocket.prototype.send = function watchedSend(this: WebSocket, ...args: [Buffer]) {
      Reflect.apply(send, this, args);
      if (this === client.ws) return;
      unsent.push(this.bufferedAmount);
      longest = Math.max(longest, Buffer.byteLength(String(args[0])));
    } as typeof send;
    try {
      (client.ws as unknown as { _socket: { pause(): void } })._socket.pause();
      for (let at = 0; at < 15; at++) client.say('more', at);
      const line = await eventually(() => platform.lines.find((one) => one.includes('socket closed')));
      assert.equal(JSON.parse(line).closeCode, 1013);
      const most = Math.max(...unsent);
      assert.ok(most > MAX_UNSENT_BYTES, `${most} bytes waited: the limit was reached`);
      assert.ok(most <= MAX_UNSENT_BYTES + longest + 1_000, `${most} bytes waited, the longest frame has ${longest}`);
    } finally {
      WebSocket.prototype.send = send;
      client.ws.terminate();
      await platform.close();
    }
  });
});

describe('a server that fails at one socket', { timeout: 60_000 }, () => {
  test('closes it with 1011 and one line, and the others go on', async () => {
    const platform = await startPlatformUnderTest(BACKENDS.embedded);
    try {
      const app = await platform.register();
      const [fails, stays] = [await platform.connect(app), await platform.connect(app, 'bob')];
      const { countSocketFrame } = platform.metrics;
      platform.metrics.countSocketFrame = () => {
        throw new TypeError('a fault of the program');
      };
      fails.say('hello');
      const { code, reason } = await fails.closed;
      platform.metrics.countSocketFrame = countSocketFrame;
      assert.deepEqual([code, reason], [1011, 'internal error']);
      const lines = platform.lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'socket failed');
      assert.equal(lines.length, 1);
      assert.match(lines[0].cause, /^TypeError: a fault of the program\n/);
      stays.say('hello');
      await stays.until(({ type }) => type === 'bot_response');
      stays.ws.close();
    } finally {
      await platform.close();
    }
  });
});

describe('a store that is away', { timeout: 60_000 }, () => {
  test('sockets stay and talk, new ones are 503; what ended meanwhile is closed when it is back', async () => {
    const redis = await startRedis();
    const platform = await startPlatformUnderTest(openRedis(redis), { bot: ECHO, limits: { recheckMs: 100 } });
    try {
      const app = await platform.register();
      const [stays, ends] = [await platform.connect(app), await platform.connect(app, 'bob')];
      const { url } = (await platform.start(stays.bearer)).body;
      redis.pause();
      stays.say('still here');
      await stays.until(({ type }) => type === 'bot_response');
      const { status, body } = await openRefused(url);
      assert.deepEqual([status, body.errors[0].code], [503, 503]);
      await setTimeout(1_500);
      assert.deepEqual([stays.ws.readyState, ends.ws.readyState], [WebSocket.OPEN, WebSocket.OPEN]);
      redis.resume();
      const other = createRedisStore({ url: new Secret(redis.url), waitReplicas: 0, onProblem: () => undefined });
      const { body: info } = await eventually(async () => {
        const answer = await platform.request('GET', '/api/1.1/userinfo', { token: ends.bearer });
        return answer.status === 200 && answer;
      });
      await eventually(() => other.identities.remove((info.userId as string).slice(2)).catch(() => false));
      assert.equal((await ends.closed).code, 4001);
      assert.equal(stays.ws.readyState, WebSocket.OPEN);
      await other.close();
      stays.ws.close();
    } finally {
      await platform.close();
      await redis.stop();
    }
  });

  test('endings that were missed while the subscription was cut are found by looking, at once', async () => {
    const redis = await startRedis();
    const platform = await startPlatformUnderTest(openRedis(redis), { limits: { recheckMs: 600_000 } });
    const client = new Redis(redis.url);
    try {
      const app = await platform.register();
      const ends = await platform.connect(app);
      for (const key of await client.keys('*:ses:*')) await client.del(key);
      const stays = await platform.connect(app, 'bob');
      await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      assert.equal((await ends.closed).code, 4001);
      await setTimeout(200);
      assert.equal(stays.ws.readyState, WebSocket.OPEN);
      stays.ws.close();
    } finally {
      client.disconnect();
      await platform.close();
      await redis.stop();
    }
  });

  test('a Redis that came back empty: every socket is closed, by looking', async () => {
    const redis = await startRedis();
    const platform = await startPlatformUnderTest(openRedis(redis), { limits: { recheckMs: 600_000 } });
    try {
      const client = await platform.connect(await platform.register());
      await redis.kill();
      await setTimeout(300);
      assert.equal(client.ws.readyState, WebSocket.OPEN);
      await redis.restart();
      assert.ok([4001, 4003].includes((await client.closed).code));
    } finally {
      await platform.close();
      await redis.stop();
    }
  });
});

describe('a server that stops', { timeout: 60_000 }, () => {
  test('tells every client with 1012, also one that hangs on its bot', async () => {
    const hanging: Bot = { name: 'hanging', onMessage: () => new Promise(() => undefined) };
    const platform = await startPlatformUnderTest(BACKENDS.embedded, { bot: hanging, botTimeoutMs: 60_000 });
    const app = await platform.register();
    const clients = [await platform.connect(app), await platform.connect(app, 'bob')];
    clients[0]?.say('hang');
    await clients[0]?.until(({ type }) => type === 'ack');
    const from = performance.now();
    await platform.close();
    const tookMs = performance.now() - from;
    assert.ok(tookMs >= ANSWER_GRACE_MS && tookMs < ANSWER_GRACE_MS + 1_500, `${tookMs} ms`);
    for (const { closed } of clients) assert.equal((await closed).code, 1012);
  });

  test('cuts one that does not answer, within its grace, and a raw connection that says nothing', async () => {
    const platform = await startPlatformUnderTest();
    const client = await platform.connect(await platform.register());
    (client.ws as unknown as { _socket: { pause(): void } })._socket.pause();
    const idle = connect({ port: platform.port, host: '127.0.0.1' });
    idle.on('error', () => undefined);
    const from = performance.now();
    await platform.close();
    assert.ok(performance.now() - from < 3_500, `${performance.now() - from} ms`);
    client.ws.terminate();
  });
});
