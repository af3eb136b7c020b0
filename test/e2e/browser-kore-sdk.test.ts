import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';

import { type Exchange, startBrowser } from '../support/browser.ts';
import { startChain } from '../support/kore-chain.ts';
import { type Chat, GRANT_PATH, GREETING, HISTORY_PATH, openChat, START_PATH } from '../support/kore-chat.ts';
import { type KorePage, type MintBy, startKorePage } from '../support/kore-page.ts';
import { startCountersign } from '../support/processes.ts';

const IDENTITY = 'alice@example.com';
const THEME_PATH = '/api/websdkthemes/st-1/activetheme';
/** Signed for the bot alone: the names are shown by the echo, the values by nobody. */
const PRIVATE_CLAIMS = {
  accountNumber: 'DE44-5001-0517-5407',
  tier: 'tier-platinum-only',
  risk: { score: 987_654_321 },
};
const PRIVATE_VALUES = ['DE44-5001-0517-5407', 'tier-platinum-only', '987654321'];

/** The servers behind a page. */
interface Servers {
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  /** What each process has logged so far. */
  readLogs(): readonly string[];
  stop(): Promise<unknown>;
}

/** Issuer and idproxy in one process; pages of loopback origins are allowed. */
const startTogether = (algorithm: string) => async (): Promise<Servers> => {
  const countersign = await startCountersign(['start'], { COUNTERSIGN_ALGORITHM: algorithm });
  return { ...countersign, readLogs: () => [countersign.stdout()] };
};

/** Two processes, as in production; tokens are encrypted, and must be. */
async function startApart(origin: string): Promise<Servers> {
  const chain = await startChain(origin);
  try {
    const { issuerUrl } = await chain.addApp(
      { jwe: { required: true } },
      { isEncrypting: true, claims: PRIVATE_CLAIMS },
    );
    return { issuerUrl, ...chain };
  } catch (error) {
    await chain.stop();
    throw error;
  }
}

interface ServersRow {
  readonly start: (origin: string) => Promise<Servers>;
  readonly header: object;
  readonly parts: number;
  /** What the echo says of the signed context. */
  readonly signed: string;
}

const SERVERS: Readonly<Record<string, ServersRow>> = {
  HS256: {
    start: startTogether('HS256'),
    header: { alg: 'HS256', typ: 'JWT' },
    parts: 3,
    signed: 'Signed: privateClaims none; secureCustomData none.',
  },
  RS256: {
    start: startTogether('RS256'),
    header: { alg: 'RS256', typ: 'JWT' },
    parts: 3,
    signed: 'Signed: privateClaims none; secureCustomData none.',
  },
  'a nested JWE with private claims, two processes': {
    start: startApart,
    header: { alg: 'RSA-OAEP', enc: 'A256GCM', typ: 'JWT', cty: 'JWT' },
    parts: 5,
    signed: 'Signed: privateClaims accountNumber, tier, risk; secureCustomData none.',
  },
};

/** What each way sends to the issuer, and whether the browser asks for leave first. */
const WAYS: Readonly<
  Record<MintBy, { readonly path: string; readonly type: string; readonly body: string; readonly preflight: boolean }>
> = {
  JWTUrl: {
    path: '/api/users/sts',
    type: 'application/x-www-form-urlencoded; charset=UTF-8',
    body: `clientId=PLEASE_ENTER_CLIENT_ID&clientSecret=PLEASE_ENTER_CLIENT_SECRET&identity=${encodeURIComponent(IDENTITY)}&aud=&isAnonymous=false`,
    preflight: false,
  },
  JWTAsertion: {
    path: '/api/users/sts/',
    type: 'application/json',
    body: JSON.stringify({ identity: IDENTITY }),
    preflight: true,
  },
};

interface LogLine {
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
}

const decodePart = (part = ''): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
const parseBody = ({ responseBody }: Exchange): unknown => JSON.parse(responseBody);

function readLogLines(log: string): LogLine[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as LogLine);
}

function assertReadable({ responseHeaders }: Exchange, origin: string): void {
  assert.equal(responseHeaders['access-control-allow-origin'], origin);
  assert.match(responseHeaders['content-type'] ?? '', /^application\/json/);
}

/** That no value of the private claims came to the browser: in no answer, in no frame, nowhere on the page. */
async function assertNothingLeaked({ page, exchanges, sockets }: Chat, logs: readonly string[]): Promise<void> {
  const heard = [
    await page.content(),
    ...logs,
    ...exchanges.flatMap(({ url, responseBody, responseHeaders }) => [
      url,
      responseBody,
      JSON.stringify(responseHeaders),
    ]),
    ...sockets.flatMap(({ url, received, sent }) => [url, ...received, ...sent]),
  ].join('\n');
  for (const value of PRIVATE_VALUES) assert.ok(!heard.includes(value), value);
}

describe('kore-web-sdk in a browser, on an origin of its own', () => {
  let browser: Browser;
  let korePage: KorePage;
  before(async () => {
    [browser, korePage] = await Promise.all([startBrowser(), startKorePage()]);
  });
  after(async () => {
    await browser?.close();
    await korePage?.close();
  });

  for (const [name, { start, header, parts, signed }] of Object.entries(SERVERS)) {
    describe(name, () => {
      let servers: Servers;
      before(async () => {
        servers = await start(korePage.origin);
      });
      after(() => servers?.stop());

      for (const mintBy of ['JWTUrl', 'JWTAsertion'] as const) {
        it(`goes the whole way by ${mintBy}: JWT, bearer, socket, greeting, question, answer`, async () => {
          const { path, type, body, preflight } = WAYS[mintBy];
          const logLengths = servers.readLogs().map(({ length }) => length);
          const identity = IDENTITY;
          const chat = await openChat(browser, korePage.toUrl({ ...servers, identity, mintBy }));
          const { waitForExchange, exchanges, statusesOf } = chat;

          const minted = await waitForExchange(path);
          assert.deepEqual([minted.method, minted.status, minted.requestBody], ['POST', 200, body]);
          assert.equal(minted.requestHeaders['content-type'], type);
          assertReadable(minted, korePage.origin);
          const { jwt } = parseBody(minted) as { jwt: string };
          assert.equal(jwt.split('.').length, parts);
          const { kid: _kid, ...rest } = decodePart(jwt.split('.')[0]) as { kid?: string };
          assert.deepEqual(rest, header);

          const granted = await waitForExchange(GRANT_PATH);
          assert.equal(granted.status, 200, granted.responseBody);
          assert.equal((JSON.parse(granted.requestBody) as { assertion: string }).assertion, jwt);
          assertReadable(granted, korePage.origin);
          const { authorization, userInfo } = parseBody(granted) as {
            authorization: { accessToken: string; token_type: string };
            userInfo: { userId: string };
          };
          assert.equal(authorization.token_type, 'bearer');
          assert.match(userInfo.userId, /^u-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/);

          const started = await waitForExchange(START_PATH);
          assert.equal(started.status, 200, started.responseBody);
          assert.equal(started.requestHeaders['authorization'], `bearer ${authorization.accessToken}`);
          assertReadable(started, korePage.origin);
          const { url, ...more } = parseBody(started) as { url: string };
          assert.deepEqual(more, {});
          assert.equal((await chat.waitForSocket(1)).url, url);
          assertReadable(await waitForExchange(HISTORY_PATH), korePage.origin);

          // The second page of the same user finds the greeting in the history, and is not greeted again.
          await chat.find('bot', GREETING).waitFor();
          const words = `is anybody there, ${mintBy}?`;
          await chat.say(words);
          await chat.find('bot', signed).first().waitFor();
          await chat.find('bot', 'Not signed, anyone can write it: customData name.').first().waitFor();
          await chat.assertSaidOnce(words);
          assert.equal(await chat.find('bot', GREETING).count(), 1);
          await assertNothingLeaked(chat, servers.readLogs());

          assert.equal(chat.sockets.length, 1);
          assert.deepEqual(statusesOf(path), [200], 'one token is enough');
          for (const once of [GRANT_PATH, START_PATH, HISTORY_PATH, THEME_PATH])
            assert.deepEqual(statusesOf(once), [200]);
          assert.deepEqual([...chat.uncaught, ...chat.consoleErrors], []);
          const origins = new Set(
            exchanges.filter(({ url: to }) => !to.startsWith('data:')).map(({ url: to }) => new URL(to).origin),
          );
          const expected = [korePage.origin, servers.issuerUrl, servers.idproxyUrl];
          assert.deepEqual([...origins].sort(), expected.sort(), 'nothing else is called');

          const lines = servers.readLogs().flatMap((log, index) => readLogLines(log.slice(logLengths[index])));
          const wasAsked = (askedPath: string): boolean =>
            lines.some((line) => line.method === 'OPTIONS' && line.path === askedPath && line.status === 204);
          assert.equal(wasAsked(path), preflight);
          for (const asked of [GRANT_PATH, START_PATH, HISTORY_PATH]) assert.ok(wasAsked(asked), asked);
        });
      }
    });
  }
});
