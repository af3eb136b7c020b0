import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';

import { Secret } from '../../../../src/core/secret.ts';
import { MAX_ANSWER_BYTES } from '../../../../src/sessions/bots/answer.ts';
import type { Bot } from '../../../../src/sessions/bots/bot.ts';
import type { BotMessage } from '../../../../src/sessions/bots/bot.ts';
import {
  createWebhookBot,
  MAX_WEBHOOKS_IN_FLIGHT,
  MAX_WEBHOOKS_PER_USER,
} from '../../../../src/sessions/bots/webhook-bot.ts';
import { createCertificate } from '../../../http/server-certificate.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { getFreePort } from '../../../support/processes.ts';
import { createBotSession, isBotError, listen, serve } from './bot-session.ts';

const SECRET = `whsec_${Buffer.from('a key of the tests, 32 bytes long').toString('base64')}`;
const AT_SECONDS = 1_767_225_600;
const MESSAGE = { id: '7', text: 'hello', payload: 'greet' };

const clock = createFakeClock(AT_SECONDS + 0.75);
const session = createBotSession();
const never = new AbortController().signal;

const createBot = (url: string): Bot => createWebhookBot({ url, secret: new Secret(SECRET) }, { fetch, clock });

/** What arrived at a bot. */
interface Arrival {
  readonly req: IncomingMessage;
  readonly body: string;
}

/** A bot's server that notes what arrives and answers with `answer`. */
async function createUpstream(t: TestContext, answer: (res: ServerResponse, arrival: Arrival) => void) {
  const arrivals: Arrival[] = [];
  const listener: RequestListener = (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const arrival = { req, body: Buffer.concat(chunks).toString() };
      arrivals.push(arrival);
      answer(res, arrival);
    });
  };
  return { url: await serve(t, listener), arrivals };
}

const sendText = (res: ServerResponse, text = 'hi'): void =>
  void res.setHeader('content-type', 'application/json').end(JSON.stringify({ messages: [{ text }] }));

describe('the webhook bot', () => {
  it('posts a signed event and answers what came back', async (t) => {
    const { url, arrivals } = await createUpstream(t, (res) => sendText(res));
    assert.deepEqual(await createBot(`${url}?key=k`).onMessage(session, MESSAGE, never), [{ text: 'hi' }]);

    const [{ req, body } = assert.fail('nothing came')] = arrivals;
    assert.equal(req.method, 'POST');
    assert.equal(req.url, '/bot?key=k');
    assert.equal(req.headers['content-type'], 'application/json');
    const { UserContext, ...known } = session;
    assert.deepEqual(JSON.parse(body), { event: 'message', session: known, UserContext, message: MESSAGE });

    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = req.headers;
    assert.equal(timestamp, String(AT_SECONDS));
    const mac = createHmac('sha256', 'a key of the tests, 32 bytes long').update(`${String(id)}.${timestamp}.${body}`);
    assert.equal(signature, `v1,${mac.digest('base64')}`);
  });

  it('tells a start, too, and takes 204 for silence', async (t) => {
    const { url, arrivals } = await createUpstream(t, (res) => void res.writeHead(204).end());
    assert.deepEqual(await createBot(url).onStart?.(session, never), []);
    const { UserContext, ...known } = session;
    assert.deepEqual(JSON.parse(arrivals[0]?.body ?? ''), { event: 'start', session: known, UserContext });
  });

  it('gives one message one id, and another message another', async (t) => {
    const { url, arrivals } = await createUpstream(t, (res) => void res.writeHead(204).end());
    const bot = createBot(url);
    await bot.onMessage(session, MESSAGE, never);
    await bot.onMessage(session, { ...MESSAGE }, never);
    await bot.onMessage(session, { ...MESSAGE, id: '8' }, never);
    await bot.onMessage(createBotSession({ conversationId: 'other' }), MESSAGE, never);
    const ids = arrivals.map(({ req }) => req.headers['webhook-id']);
    assert.equal(ids[0], ids[1]);
    assert.equal(new Set(ids).size, 3);
  });

  it('keeps the connection', async (t) => {
    const { url, arrivals } = await createUpstream(t, (res) => sendText(res));
    const bot = createBot(url);
    for (let count = 0; count < 10; count++) await bot.onMessage(session, MESSAGE, never);
    // The second message may come before the first one's connection is free again.
    assert.ok(new Set(arrivals.map(({ req }) => req.socket.remotePort)).size <= 2);
  });

  it('does not follow a redirect: nothing reaches the other host', async (t) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const other = await createUpstream(t, (res) => sendText(res));
      const { url } = await createUpstream(t, (res) => void res.writeHead(status, { location: other.url }).end());
      await assert.rejects(
        createBot(url).onMessage(session, MESSAGE, never),
        isBotError(new RegExp(`answered ${status}`)),
      );
      assert.equal(other.arrivals.length, 0);
    }
  });

  const BAD: Readonly<Record<string, { answer: (res: ServerResponse) => void; says: RegExp }>> = {
    'an answer that is cut': {
      answer: (res) => void res.writeHead(200, { 'content-length': '100' }).write('{"messages', () => res.destroy()),
      says: /gave no answer \(UND_ERR_SOCKET\)/,
    },
    'a connection that is cut': { answer: (res) => void res.destroy(), says: /gave no answer \(UND_ERR_SOCKET\)/ },
    'an answer without end': {
      answer: (res) => {
        const more = (): void => void (res.destroyed || res.write('x'.repeat(16_384), () => setImmediate(more)));
        more();
      },
      says: /more than 65536 bytes/,
    },
    'a byte too many': {
      answer: (res) => void res.end(Buffer.alloc(MAX_ANSWER_BYTES + 1)),
      says: /more than 65536 bytes/,
    },
    'a small answer that unpacks to a large one': {
      answer: (res) => void res.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(32 * 2 ** 20))),
      says: /more than 65536 bytes/,
    },
    'no JSON': { answer: (res) => void res.end('<html>'), says: /not valid JSON/ },
    'JSON of another form': { answer: (res) => void res.end('{"text":"hi"}'), says: /another form/ },
    'no UTF-8': { answer: (res) => void res.end(Buffer.from([0x7b, 0xff])), says: /not UTF-8/ },
    'no body': { answer: (res) => void res.end(), says: /not valid JSON/ },
    'another success': { answer: (res) => void res.writeHead(202).end('{"messages":[]}'), says: /answered 202/ },
    'a refusal': { answer: (res) => void res.writeHead(401).end(), says: /answered 401/ },
    'a failure': { answer: (res) => void res.writeHead(503).end('{"messages":[]}'), says: /answered 503/ },
  };
  for (const [name, { answer, says }] of Object.entries(BAD)) {
    it(`refuses ${name}, and asks once`, async (t) => {
      const { url, arrivals } = await createUpstream(t, answer);
      await assert.rejects(createBot(url).onMessage(session, MESSAGE, never), isBotError(says));
      assert.equal(arrivals.length, 1);
    });
  }

  const SLOW: Readonly<Record<string, (res: ServerResponse) => void>> = {
    'an answer that does not come': () => undefined,
    'an answer that does not end': (res) => void res.write('{"messages"'),
  };
  for (const [name, answer] of Object.entries(SLOW)) {
    it(`waits for ${name} no longer than the signal, and lets the connection go`, async (t) => {
      const control = new AbortController();
      let gone: Promise<unknown> | undefined;
      const { url, arrivals } = await createUpstream(t, (res, { req }) => {
        gone = once(req.socket, 'close');
        answer(res);
        setTimeout(() => control.abort(), 20);
      });
      const refusal = createBot(url).onMessage(session, MESSAGE, control.signal);
      await assert.rejects(refusal, isBotError(/did not answer in time/));
      await gone;
      assert.equal(arrivals.length, 1);
    });
  }

  it('tries once more where nothing was sent, with the same id', async (t) => {
    const port = await getFreePort();
    const arrivals: IncomingMessage[] = [];
    const server = createServer((req, res) => {
      arrivals.push(req);
      sendText(res, 'back');
    });
    t.after(() => server.close());
    const tried: Record<string, string>[] = [];
    const bot = createWebhookBot(
      { url: `http://127.0.0.1:${port}/`, secret: new Secret(SECRET) },
      {
        clock,
        fetch: async (url, init) => {
          tried.push(init?.headers as Record<string, string>);
          return fetch(url, init).catch((error: unknown) => {
            // The bot comes back between the two attempts.
            server.listen(port, '127.0.0.1');
            throw error;
          });
        },
      },
    );
    assert.deepEqual(await bot.onMessage(session, MESSAGE, never), [{ text: 'back' }]);
    assert.equal(tried.length, 2);
    assert.equal(tried[0]?.['webhook-id'], tried[1]?.['webhook-id']);
    assert.equal(arrivals.length, 1);
  });

  it('gives up after that, and says nothing of the URL', async () => {
    const port = await getFreePort();
    const failure: unknown = await createBot(`http://127.0.0.1:${port}/p4th?key=s3cret`)
      .onMessage(session, MESSAGE, never)
      .catch((error: unknown) => error);
    assert.ok(isBotError(/gave no answer \(ECONNREFUSED\)$/)(failure));
    const text = inspect(failure, { depth: 9, showHidden: true });
    assert.doesNotMatch(text, new RegExp(`s3cret|p4th|${port}|hello|alice|-value|whsec|32 bytes long`));
  });

  it('gives up at the signal between two attempts', async () => {
    const control = new AbortController();
    const refusal = createBot(`http://127.0.0.1:${await getFreePort()}/`).onMessage(session, MESSAGE, control.signal);
    setTimeout(() => control.abort(), 50);
    await assert.rejects(refusal, isBotError(/did not answer in time/));
  });

  it('owes no more answers than it may; further questions wait for their turn, each user has a share', async (t) => {
    const waiting: ServerResponse[] = [];
    const { url } = await createUpstream(t, (res) => void waiting.push(res));
    const bot = createBot(url);
    const ask = (userId: string): Promise<readonly BotMessage[]> =>
      bot.onMessage(createBotSession({ userId }), MESSAGE, never);
    const until = async (count: number): Promise<void> => {
      while (waiting.length < count) await new Promise((resolve) => setImmediate(resolve));
    };
    const greedy = Array.from({ length: 10 }, () => ask('greedy'));
    const others = Array.from({ length: MAX_WEBHOOKS_IN_FLIGHT }, (_, index) => ask(`user-${index}`));
    await until(MAX_WEBHOOKS_IN_FLIGHT);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(waiting.length, MAX_WEBHOOKS_IN_FLIGHT, 'no more are asked at one time');
    const hurried = bot.onMessage(createBotSession({ userId: 'late' }), MESSAGE, AbortSignal.timeout(30));
    await assert.rejects(hurried, isBotError(/did not answer in time/));
    let answered = 0;
    while (answered < greedy.length + others.length) {
      await until(1);
      for (const res of waiting.splice(0)) {
        sendText(res);
        answered += 1;
      }
    }
    assert.equal((await Promise.all([...greedy, ...others])).flat().length, greedy.length + others.length);
  });

  it('asks no more than its share for one user', async (t) => {
    const waiting: ServerResponse[] = [];
    const { url } = await createUpstream(t, (res) => void waiting.push(res));
    const bot = createBot(url);
    const asked = Array.from({ length: 5 }, () => bot.onMessage(session, MESSAGE, never));
    const other = bot.onMessage(createBotSession({ userId: 'other' }), MESSAGE, never);
    while (waiting.length < MAX_WEBHOOKS_PER_USER + 1) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(waiting.length, MAX_WEBHOOKS_PER_USER + 1);
    const drain = setInterval(() => waiting.splice(0).forEach((res) => sendText(res)), 5);
    t.after(() => clearInterval(drain));
    assert.equal((await Promise.all([...asked, other])).length, 6);
  });

  it('takes no certificate that nobody vouches for', async (t) => {
    let count = 0;
    const server = createTlsServer(await createCertificate(t), (_, res) => {
      count++;
      sendText(res);
    });
    const url = `https://127.0.0.1:${await listen(t, server)}/`;
    await assert.rejects(
      createBot(url).onMessage(session, MESSAGE, never),
      isBotError(/gave no answer \(DEPTH_ZERO_SELF_SIGNED_CERT\)/),
    );
    assert.equal(count, 0);
  });

  it('does not send again over a kept connection that was cut', async (t) => {
    let count = 0;
    const { url } = await createUpstream(t, (res) => {
      if (++count === 1) sendText(res);
      else res.destroy();
    });
    const bot = createBot(url);
    await bot.onMessage(session, MESSAGE, never);
    await assert.rejects(bot.onMessage(session, MESSAGE, never), isBotError(/UND_ERR_SOCKET/));
    assert.equal(count, 2);
  });
});
