import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import type { JWK } from 'jose';

import { sha256Hex } from '../../../src/core/secret.ts';
import type { SocketLimits } from '../../../src/sessions/socket/limits.ts';
import { encryptText } from '../../support/encrypt.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { parseAnswer } from '../../unit/http/raw-http.ts';
import {
  eventually,
  openClient,
  openRefused,
  type PlatformUnderTest,
  startPlatformUnderTest,
} from './socket-under-test.ts';

type App = Awaited<ReturnType<PlatformUnderTest['register']>>;

const RTM = 'x-rtm-v|1';
const HANDSHAKE = [
  'Host: test',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** What `…/rtm/start` answers and what belongs to it. */
async function startSecure(platform: PlatformUnderTest, app: App, changes: Record<string, unknown> = {}) {
  const assertion = app.sign(changes);
  const bearer = await platform.exchange(assertion);
  const { status, body } = await platform.start(bearer, { headers: { 'X-RTM-V': '1' } });
  assert.equal(status, 200);
  return { assertion, bearer, url: body.url as string, nonce: body.nonce as string };
}

describe('rtm/start', { timeout: 60_000 }, () => {
  let platform: PlatformUnderTest;
  before(async () => {
    platform = await startPlatformUnderTest(BACKENDS.embedded, { publicUrl: 'https://api.example/chat/' });
  });
  after(() => platform.close());

  test('the URL: the public one with its prefix, 32 safe characters, a query to append to', async () => {
    const bearer = await platform.exchange((await platform.register()).sign());
    for (const path of ['/api/rtm/start', '/api/1.1/rtm/start']) {
      const { status, body } = await platform.start(bearer, { path, botId: 'st 1&x' });
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ['url']);
      assert.match(
        body.url,
        /^wss:\/\/api\.example\/chat\/rtm\/bot\?sid=[\w-]{32}&botId=st\+1%26x&userId=u-[\da-f-]{36}$/,
      );
    }
  });

  test('a form with a stray authorization field', async () => {
    const bearer = await platform.exchange((await platform.register({ bots: ['st-1'] })).sign());
    const response = await fetch(`${platform.url}/api/1.1/rtm/start`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: `authorization=bearer%20${bearer}&botInfo[chatBot]=Bot&botInfo[taskBotId]=st-1&botInfo[customData][a]=b`,
    });
    assert.equal(response.status, 200);
  });

  test('nothing that opens a socket is stored', async () => {
    const put = platform.store.tickets.put;
    const stored: string[] = [];
    platform.store.tickets.put = (key, body, ms) => {
      stored.push(key, body, String(ms));
      return put(key, body, ms);
    };
    const { url, nonce } = await startSecure(platform, await platform.register());
    platform.store.tickets.put = put;
    const sid = new URL(url).searchParams.get('sid') ?? '';
    assert.match(nonce, /^[\w-]{43}$/);
    assert.equal(stored[0], sha256Hex(sid));
    assert.equal(stored[2], '30000');
    assert.ok(!stored.join().includes(sid) && !stored.join().includes(nonce));
  });

  test('401 is the bearer alone; everything else is 403', async () => {
    const app = await platform.register({ bots: ['st-1'] });
    const bearer = await platform.exchange(app.sign());
    assert.equal((await platform.start('nonsense')).status, 401);
    assert.equal((await platform.request('POST', '/api/rtm/start')).status, 401);
    const other = await platform.start(bearer, { botId: 'st-2' });
    assert.deepEqual([other.status, other.body.errors[0].code], [403, 403]);
    await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { requireSecureRtm: true });
    // A page can show the nonce without having said so: the published web SDK sends no `x-rtm-v`.
    assert.match((await platform.start(bearer)).body.nonce, /^[\w-]{43}$/);
    await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { enabled: false });
    assert.equal((await platform.start(bearer)).status, 403);
    assert.equal((await platform.start(bearer, { botId: 'x'.repeat(129) })).status, 403);
  });

  test('a bot id that would not fit into a URL is refused; a missing one is not', async () => {
    const bearer = await platform.exchange((await platform.register()).sign());
    assert.equal((await platform.start(bearer, { botId: 'x'.repeat(129) })).status, 400);
    assert.equal((await platform.request('POST', '/api/rtm/start', { token: bearer, body: {} })).status, 200);
  });

  test('history and themes: what they refuse, as JSON', async () => {
    const app = await platform.register({ bots: ['st-1'] });
    const bearer = await platform.exchange(app.sign());
    const get = async (path: string, token?: string) =>
      (await platform.request('GET', path, token === undefined ? {} : { token })).status;
    assert.equal(await get('/api/botmessages/rtm?botId=st-1'), 401);
    assert.equal(await get('/api/botmessages/rtm?botId=st-2', bearer), 403);
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'offset=-1', 'forward=maybe', 'botId=a&botId=b'])
      assert.equal(await get(`/api/botmessages/rtm?${query}`, bearer), 400, query);
    const { body } = await platform.request('GET', '/api/botmessages/rtm?botId=st-1', { token: bearer });
    assert.deepEqual(body, { messages: [], moreAvailable: false, icon: '' });
    for (const path of ['/api/websdkthemes/st-1/activetheme', '/api/1.1/websdkthemes/st-1/activetheme']) {
      const theme = await platform.request('GET', path, { token: bearer });
      assert.deepEqual([theme.status, theme.body], [200, {}]);
    }
  });
});

test('too many requests around the socket are 503, never 429', async () => {
  const platform = await startPlatformUnderTest(BACKENDS.embedded, { rateLimitPerMinute: 1 });
  try {
    for (const [method, path] of [
      ['POST', '/api/rtm/start'],
      ['GET', '/api/botmessages/rtm'],
      ['GET', '/api/websdkthemes/st-1/activetheme'],
    ] as const) {
      await platform.request(method, path);
      const { status, headers } = await platform.request(method, path);
      assert.equal(status, 503, path);
      assert.ok(headers.get('retry-after'), path);
    }
  } finally {
    await platform.close();
  }
});

for (const [name, open] of Object.entries(BACKENDS)) {
  describe(`an upgrade on ${name}`, { timeout: 60_000 }, () => {
    let platform: PlatformUnderTest;
    before(async () => {
      platform = await startPlatformUnderTest(open);
    });
    after(() => platform.close());

    const startPlain = async (app: App): Promise<string> =>
      (await platform.start(await platform.exchange(app.sign()))).body.url;

    test('a URL is used once: of twenty at once one gets in', async () => {
      const url = await startPlain(await platform.register());
      const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => openClient(url)));
      assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
      const { status, body, headers } = await openRefused(url);
      assert.equal(status, 401);
      assert.equal(body.errors[0].code, 401);
      assert.match(String(headers['content-type']), /^application\/json/);
    });

    test('secure RTM: the nonce and a token of this very user, and the marker comes back', async () => {
      const app = await platform.register();
      const { url, nonce, assertion } = await startSecure(platform, app);
      const client = await openClient(url, [RTM, `jwt|${assertion}`, `nonce|${nonce}`]);
      assert.equal(client.ws.protocol, RTM);
      client.say('hello');
      await client.until(({ type }) => type === 'bot_response');
      client.ws.close();
    });

    test('secure RTM: everything else is refused, and the URL is spent', async () => {
      const [app, other] = [await platform.register({ allowAnonymous: true }), await platform.register()];
      type Secure = Awaited<ReturnType<typeof startSecure>>;
      const proofs: Readonly<Record<string, (secure: Secure) => string[]>> = {
        nothing: () => [],
        'the marker alone': () => [RTM],
        'no marker': ({ assertion, nonce }) => [`jwt|${assertion}`, `nonce|${nonce}`],
        'no token': ({ nonce }) => [RTM, `nonce|${nonce}`],
        'another nonce': ({ assertion, nonce }) => [RTM, `jwt|${assertion}`, `nonce|${nonce.slice(1)}x`],
        'two nonces': ({ assertion, nonce }) => [RTM, `jwt|${assertion}`, 'nonce|x', `nonce|${nonce}`],
        'two tokens': ({ assertion, nonce }) => [RTM, `jwt|${assertion}`, 'jwt|x', `nonce|${nonce}`],
        'a token of another app': ({ nonce }) => [RTM, `jwt|${other.sign()}`, `nonce|${nonce}`],
        'a token of another user': ({ nonce }) => [RTM, `jwt|${app.sign({ sub: 'bob' })}`, `nonce|${nonce}`],
        'a token of the anonymous user of that name': ({ nonce }) => [
          RTM,
          `jwt|${app.sign({ isAnonymous: true })}`,
          `nonce|${nonce}`,
        ],
        'a token that was changed': ({ assertion, nonce }) => [
          RTM,
          `jwt|${assertion.slice(0, -4)}AAAA`,
          `nonce|${nonce}`,
        ],
        'no token at all': ({ nonce }) => [RTM, 'jwt|nonsense', `nonce|${nonce}`],
      };
      for (const [what, toProtocols] of Object.entries(proofs)) {
        const secure = await startSecure(platform, app);
        assert.equal((await openRefused(secure.url, toProtocols(secure))).status, 401, what);
        const good = [RTM, `jwt|${secure.assertion}`, `nonce|${secure.nonce}`];
        assert.equal((await openRefused(secure.url, good)).status, 401, `${what}, and again`);
      }
      assert.ok(!platform.lines.join('\n').includes('nonce|'));
    });

    test('a nonce of another start does not open this one', async () => {
      const app = await platform.register();
      const [one, two] = [await startSecure(platform, app), await startSecure(platform, app)];
      const { status } = await openRefused(one.url, [RTM, `jwt|${one.assertion}`, `nonce|${two.nonce}`]);
      assert.equal(status, 401);
    });

    test('clients that are not asked for subprotocols may offer them all the same', async () => {
      const app = await platform.register();
      const client = await openClient(await startPlain(app), [RTM, 'jwt|x', 'nonce|y']);
      assert.equal(client.ws.protocol, RTM);
      client.ws.close();
    });

    test('what was taken away between start and socket', async () => {
      const app = await platform.register();
      const bearer = await platform.exchange(app.sign());
      const urls = await Promise.all([1, 2, 3, 4].map(async () => (await platform.start(bearer)).body.url as string));
      await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { bots: ['st-2'] });
      assert.equal((await openRefused(urls[0] ?? '')).status, 403);
      await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { bots: [], requireSecureRtm: true });
      assert.equal((await openRefused(urls[1] ?? '')).status, 403);
      await platform.admin('PATCH', `/admin/apps/${app.clientId}`, { requireSecureRtm: false, enabled: false });
      assert.equal((await openRefused(urls[2] ?? '')).status, 403);
      await platform.admin('DELETE', `/admin/apps/${app.clientId}`);
      assert.ok([401, 403].includes((await openRefused(urls[3] ?? '')).status));
    });
  });
}

describe('a handshake', { timeout: 60_000 }, () => {
  let platform: PlatformUnderTest;
  let app: App;
  before(async () => {
    platform = await startPlatformUnderTest(BACKENDS.embedded, { limits: { maxSocketsPerSession: 2, maxSockets: 4 } });
    app = await platform.register();
  });
  after(() => platform.close());

  /** Sends a request as it is and waits until the server has closed. */
  const sendRequest = async (lines: readonly string[], rest: string | Buffer = ''): Promise<string> => {
    const socket = connect({ port: platform.port, host: '127.0.0.1' });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => undefined);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (rest.length > 0) socket.write(rest);
    await once(socket, 'close');
    return text;
  };
  const startOne = async (): Promise<URL> =>
    new URL((await platform.start(await platform.exchange(app.sign()))).body.url);

  const without = (...names: string[]): string[] =>
    HANDSHAKE.filter((line) => !names.some((name) => line.startsWith(name)));
  const refused: Readonly<Record<string, readonly [status: number, method: string, headers: readonly string[]]>> = {
    'another version': [400, 'GET', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 99']],
    'no version': [400, 'GET', without('Sec-WebSocket-Version')],
    'no key': [400, 'GET', without('Sec-WebSocket-Key')],
    'another method': [400, 'POST', HANDSHAKE],
    'a subprotocol twice': [400, 'GET', [...HANDSHAKE, 'Sec-WebSocket-Protocol: a, a']],
    'a malformed subprotocol': [400, 'GET', [...HANDSHAKE, 'Sec-WebSocket-Protocol: a b']],
  };
  for (const [what, [status, method, headers]] of Object.entries(refused)) {
    test(`refused, with the URL still good: ${what}`, async () => {
      const url = await startOne();
      const answer = parseAnswer(await sendRequest([`${method} ${url.pathname}${url.search} HTTP/1.1`, ...headers]));
      assert.equal(answer.status, status);
      assert.equal(JSON.parse(answer.body).errors[0].code, status);
      const client = await openClient(url.href);
      client.ws.close();
      await client.closed;
    });
  }

  test('another path is 404, a sid that comes twice or is nonsense 401', async () => {
    const url = await startOne();
    const status = async (target: string) => (await openRefused(`ws://127.0.0.1:${platform.port}${target}`)).status;
    assert.equal(await status(`/rtm/bot/${url.search}`), 404);
    assert.equal(await status(`/RTM/bot${url.search}`), 404);
    assert.equal(await status(`//rtm/bot${url.search}`), 404);
    assert.equal(await status('/rtm/bot'), 401);
    assert.equal(await status('/rtm/bot?sid=%00'), 401);
    assert.equal(await status(`/rtm/bot${url.search}&sid=x`), 401);
    assert.equal(await status(`/rtm/bot?sid=${'x'.repeat(32)}`), 401);
    const client = await openClient(`${url.href}&ConnectionMode=Reconnect&isReconnect=true`);
    client.ws.close();
    await client.closed;
  });

  test('names of header fields in any case', async () => {
    const url = await startOne();
    const socket = connect({ port: platform.port, host: '127.0.0.1' });
    const lines = HANDSHAKE.map((line) => line.toUpperCase().replace(/KEY: .*/, 'KEY: dGhlIHNhbXBsZSBub25jZQ=='));
    socket.write(`${[`GET ${url.pathname}${url.search} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1\.1 101 /);
    socket.destroy();
    await eventually(async () => /countersign_sockets_open 0/.test(await platform.metrics.registry.metrics()));
  });

  test('an answer arrives though the client went on sending; a client that breaks off breaks nothing', async () => {
    const answer = await sendRequest(['GET /rtm/bot?sid=x HTTP/1.1', ...HANDSHAKE], Buffer.alloc(300_000, 'x'));
    assert.equal(parseAnswer(answer).status, 401);
    for (let at = 0; at < 50; at++) {
      const socket = connect({ port: platform.port, host: '127.0.0.1' });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(`${['GET /rtm/bot?sid=x HTTP/1.1', ...HANDSHAKE].join('\r\n')}\r\n\r\n`);
      if (at % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    }
    const url = await startOne();
    (await openClient(url.href)).ws.terminate();
    await eventually(async () => /countersign_sockets_open 0/.test(await platform.metrics.registry.metrics()));
  });

  test('too many sockets of one session, and of the process, are 503', async () => {
    const bearer = await platform.exchange(app.sign());
    const url = async () => (await platform.start(bearer)).body.url as string;
    const clients = [await openClient(await url()), await openClient(await url())];
    const { status, headers } = await openRefused(await url());
    assert.deepEqual([status, headers['retry-after']], [503, '1']);
    clients.push(await openClient((await startOne()).href), await openClient((await startOne()).href));
    assert.equal((await openRefused((await startOne()).href)).status, 503);
    for (const { ws } of clients) ws.close();
    await eventually(async () => /countersign_sockets_open 0/.test(await platform.metrics.registry.metrics()));
    clients.push(await openClient(await url()));
    clients.at(-1)?.ws.terminate();
    assert.match(
      await platform.metrics.registry.metrics(),
      /countersign_socket_refusals_total\{reason="too_many_sockets"\} 2/,
    );
  });

  const COUNTED: Readonly<Record<string, { limits: Partial<SocketLimits>; reason: string; perMinute?: number }>> = {
    'sockets of one user, over all sessions': { limits: { maxSocketsPerUser: 2 }, reason: 'too_many_sockets' },
    'sockets from one address': { limits: { maxSocketsPerAddress: 2 }, reason: 'too_many_sockets' },
    'upgrades from one address in a minute': { limits: {}, reason: 'too_many_upgrades', perMinute: 2 },
  };
  for (const [what, { limits, reason, perMinute }] of Object.entries(COUNTED)) {
    test(`too many are 503, and the log says whose they are: ${what}`, async (t) => {
      const traits = { limits, ...(perMinute !== undefined && { rateLimitPerMinute: perMinute }) };
      const counted = await startPlatformUnderTest(BACKENDS.embedded, traits);
      t.after(() => counted.close());
      const { sign } = await counted.register();
      const clients = [];
      for (let count = 0; count < 2; count++) {
        const { body } = await counted.start(await counted.exchange(sign()));
        clients.push(await openClient(body.url));
      }
      // What is counted by the minute is so however good the URL is.
      const third =
        perMinute === undefined ? (await counted.start(await counted.exchange(sign()))).body.url : undefined;
      const refused = await openRefused(third ?? `ws://127.0.0.1:${counted.port}/rtm/bot?sid=x`);
      assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
      const line = counted.lines.map((one) => JSON.parse(one)).find(({ msg }) => msg === 'socket refused');
      assert.deepEqual([line.ip, line.reason], ['127.0.0.1', reason]);
      for (const { ws } of clients) ws.close();
    });
  }

  test('a nested JWE with 8 KB of private claims as a subprotocol', async () => {
    const { body: jwks } = await platform.request('GET', '/.well-known/jwks.json');
    const [key] = jwks.keys as [JWK];
    const inner = app.sign({ privateClaims: { text: 'x'.repeat(8_000) } });
    const assertion = await encryptText(inner, key, { kid: key.kid, cty: 'JWT' });
    assert.ok(assertion.length > 14_000, String(assertion.length));
    const bearer = await platform.exchange(assertion);
    const { body } = await platform.start(bearer, { headers: { 'x-rtm-v': '1' } });
    const client = await openClient(body.url, [RTM, `jwt|${assertion}`, `nonce|${body.nonce}`]);
    assert.equal(client.ws.protocol, RTM);
    client.ws.terminate();
  });

  test('header fields beyond 64 KB are 431', async () => {
    const answer = await sendRequest(['GET /rtm/bot?sid=x HTTP/1.1', ...HANDSHAKE, `X-Big: ${'x'.repeat(70_000)}`]);
    assert.equal(parseAnswer(answer).status, 431);
  });
});
