import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';

import { startBrowser } from '../support/browser.ts';
import { type Chain, type IssuerTraits, startChain } from '../support/kore-chain.ts';
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
import { type KorePage, type MintBy, startKorePage } from '../support/kore-page.ts';
import { type RedisProcess, startRedis } from '../support/processes.ts';
import { startTcpRelay, type TcpRelay } from '../support/tcp-relay.ts';

/** The shortest life of a bearer, and how much later its socket is closed at the latest. */
const BEARER_SECONDS = 60;
const EXPIRY_SLACK_MS = 5_000;

/** How tokens are made, and what is seen of it. */
interface Kind {
  readonly traits: IssuerTraits;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly parts: number;
  readonly header: Readonly<Record<string, string>>;
  /** What the echo says of the signed context. */
  readonly signed: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  HS256: { traits: { algorithm: 'HS256' }, parts: 3, header: { alg: 'HS256' }, signed: 'Signed: privateClaims none;' },
  RS256: { traits: { algorithm: 'RS256' }, parts: 3, header: { alg: 'RS256' }, signed: 'Signed: privateClaims none;' },
  'a nested JWE': {
    traits: { algorithm: 'RS256', isEncrypting: true, claims: { tier: 'gold' } },
    settings: { jwe: { required: true } },
    parts: 5,
    header: { alg: 'RSA-OAEP', enc: 'A256GCM', cty: 'JWT' },
    signed: 'Signed: privateClaims tier;',
  },
};
const WAYS: Readonly<Record<MintBy, string>> = { JWTUrl: STS_PATH, JWTAsertion: `${STS_PATH}/` };

/** A page that goes through everything that happens. */
interface Journey {
  readonly name: string;
  readonly kind: Kind;
  readonly stsPath: string;
  readonly chat: Chat;
  readonly startedAtMs: number;
}

/** What is said after each event, in this order. */
const WORDS = [
  'at the beginning',
  'after the end of the bearer',
  'after the restart',
  'on the other instance',
] as const;

/** A server that is away or just stops or starts, and a bearer that is over, as a browser reports them. */
const AWAY =
  /status of 503|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection to .* failed/;
const REFUSED_START = /^Failed to load resource: .* status of 401 .*\/api\/rtm\/start\)$/;

describe('kore-web-sdk in a browser, every kind of token by every way, over everything that happens', () => {
  let browser: Browser;
  let korePage: KorePage;
  let redis: RedisProcess;
  let relay: TcpRelay;
  let a: Chain;
  let b: Chain;
  let journeys: readonly Journey[] = [];

  before(async () => {
    [browser, korePage, redis, relay] = await Promise.all([
      startBrowser(),
      startKorePage(),
      startRedis(),
      startTcpRelay(),
    ]);
    const shared = { COUNTERSIGN_REDIS_URL: redis.url, COUNTERSIGN_PUBLIC_URL: relay.url };
    a = await startChain(korePage.origin, shared);
    b = await startChain(korePage.origin, { ...shared, COUNTERSIGN_KEYS_DIR: a.idproxy.keysDir });
    relay.routeBy(() => a.idproxy.idproxyPort);
  });
  after(async () => {
    await browser?.close();
    await korePage?.close();
    await relay?.stop();
    await b?.stop();
    await a?.stop();
    await redis?.stop();
  });

  const open = async (name: string, kind: Kind, mintBy: MintBy, issuerUrl: string): Promise<Journey> => {
    const identity = `${name.replace(/\W+/g, '-')}@example.com`;
    const url = korePage.toUrl({ issuerUrl, idproxyUrl: relay.url, identity, mintBy, backoffMs: 300 });
    const startedAtMs = performance.now();
    return { name, kind, stsPath: WAYS[mintBy], chat: await openChat(browser, url), startedAtMs };
  };
  /** Something that happens to all of them; what goes wrong is told with whose it is. */
  const forEach = async (act: (journey: Journey) => Promise<void>): Promise<void> => {
    assert.equal(journeys.length, Object.keys(KINDS).length * Object.keys(WAYS).length);
    await Promise.all(
      journeys.map((journey) =>
        act(journey).catch((cause: unknown) => {
          throw new Error(`${journey.name}: ${String(cause)}`, { cause });
        }),
      ),
    );
  };
  /** Lets something happen that ends all sockets, waits for the next ones, and talks over them. */
  const goOnAfter = async (
    what: string,
    words: string,
    happen: () => Promise<void>,
    limitMs?: number,
  ): Promise<void> => {
    const before = new Map(journeys.map(({ chat }) => [chat, chat.sockets.length]));
    await happen();
    await forEach(async ({ chat }) => {
      const from = before.get(chat) ?? 0;
      const isBack = (): boolean =>
        chat.sockets.slice(from).some(({ received, isClosed }) => !isClosed && received.includes('{"type":"ready"}'));
      await until(`a socket after ${what}`, isBack, limitMs);
      await chat.say(words);
    });
  };

  it('open and talk', async () => {
    const opening = Object.entries(KINDS).map(async ([name, kind]) => {
      const settings = { bearerLifetimeSeconds: BEARER_SECONDS, ...kind.settings };
      const { issuerUrl } = await a.addApp(settings, kind.traits);
      return (Object.keys(WAYS) as MintBy[]).map((way) => open(`${name} by ${way}`, kind, way, issuerUrl));
    });
    journeys = await Promise.all((await Promise.all(opening)).flat());
    await forEach(async ({ chat, kind }) => {
      await chat.find('bot', GREETING).waitFor();
      await chat.say(WORDS[0]);
      await chat.find('bot', kind.signed).first().waitFor();
    });
  });

  it('go on when their bearers have expired', () =>
    goOnAfter(
      'the end of the bearer',
      WORDS[1],
      async () => undefined,
      BEARER_SECONDS * 1000 + EXPIRY_SLACK_MS + 10_000,
    ));

  it('go on after a restart of their server', () => goOnAfter('the restart', WORDS[2], () => a.restart('SIGTERM')));

  it('go on with another instance when theirs is gone', async () => {
    const countOpened = (): number => b.idproxy.stdout().split('"msg":"socket opened"').length - 1;
    assert.equal(countOpened(), 0);
    await goOnAfter('the change', WORDS[3], async () => {
      relay.routeBy(() => b.idproxy.idproxyPort);
      await a.idproxy.kill();
    });
    assert.ok(countOpened() >= journeys.length);
  });

  for (const kind of Object.keys(KINDS)) {
    for (const way of Object.keys(WAYS)) {
      it(`${kind} by ${way}: one clean renewal for each bearer that ended, and everything was heard once`, async () => {
        const journey = journeys.find(({ name }) => name === `${kind} by ${way}`);
        assert.ok(journey);
        const { chat, stsPath, startedAtMs } = journey;
        await chat.assertSaidOnce(...WORDS);
        assert.equal(await chat.find('bot', GREETING).count(), 1, 'the conversation goes on');
        const starts = chat.statusesOf(START_PATH);
        const renewals = starts.filter((status) => status === 401).length;
        // A machine that is busy may see the second bearer end, too.
        const most = Math.floor((performance.now() - startedAtMs) / (BEARER_SECONDS * 1000));
        assert.ok(renewals >= 1 && renewals <= most, `${renewals} renewals, ${most} bearers can have ended`);
        assert.ok(
          starts.every((status, at) => [200, 503].includes(status) || (status === 401 && starts[at + 1] === 200)),
          starts.join(),
        );
        const fine = Array.from({ length: 1 + renewals }, () => 200);
        assert.deepEqual(
          [chat.statusesOf(stsPath), chat.statusesOf(GRANT_PATH)],
          [fine, fine],
          'a JWT and a bearer each',
        );
        for (const { path, responseBody } of chat.exchanges) {
          if (path !== stsPath) continue;
          const { jwt } = JSON.parse(responseBody) as { jwt: string };
          const [header = '', ...rest] = jwt.split('.');
          assert.equal(1 + rest.length, journey.kind.parts);
          const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
          for (const [name, value] of Object.entries(journey.kind.header)) assert.equal(members[name], value);
        }
        assert.deepEqual(chat.uncaught, []);
        const refused = chat.consoleErrors.filter((line) => REFUSED_START.test(line));
        assert.equal(refused.length, renewals);
        for (const line of chat.consoleErrors) assert.ok(REFUSED_START.test(line) || AWAY.test(line), line);

        // What was said on all sides of what happened is one history.
        const { responseBody } = await chat.waitForExchange(GRANT_PATH, 1 + renewals);
        const { authorization } = JSON.parse(responseBody) as { authorization: { accessToken: string } };
        const headers = { authorization: `bearer ${authorization.accessToken}` };
        const history = await fetch(`${relay.url}${HISTORY_PATH}?botId=st-1&limit=50`, { headers });
        assert.equal(history.status, 200);
        const said = await history.text();
        for (const text of WORDS) assert.equal(said.split(`"${text}"`).length - 1, 1, text);
      });
    }
  }
});
