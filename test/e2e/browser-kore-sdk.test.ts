import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type Exchange, openWatchedPage, startBrowser } from '../support/browser.ts';
import { type KorePage, type MintBy, startKorePage } from '../support/kore-page.ts';
import { type CountersignProcess, getFreePort, startCountersign } from '../support/processes.ts';

const ADMIN_TOKEN = 'admin-token-of-this-test-0123456789';
const IDENTITY = 'alice@example.com';
const GRANT_PATH = '/api/oAuth/token/jwtgrant';
const START_PATH = '/api/rtm/start';

/** The servers behind a page. */
interface Chain {
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  /** What each process has logged so far. */
  readonly logs: readonly (() => string)[];
  stop(): Promise<void>;
}

type StartChain = (korePage: (urls: Pick<Chain, 'issuerUrl' | 'idproxyUrl'>) => Promise<KorePage>) => Promise<Chain>;

const toUrl = (port: number): string => `http://127.0.0.1:${port}`;

/** Issuer and idproxy in one process; pages of loopback origins are allowed. */
function startTogether(algorithm: string): StartChain {
  return async (korePage) => {
    const countersign = await startCountersign(['start'], { COUNTERSIGN_ALGORITHM: algorithm });
    await korePage(countersign);
    return { ...countersign, logs: [countersign.stdout], stop: async () => void (await countersign.stop()) };
  };
}

/** Two processes, as in production: the page's origin is allowed by name, tokens are encrypted, and must be. */
const startApart: StartChain = async (korePage) => {
  const issuerPort = await getFreePort();
  const idproxyPort = await getFreePort();
  const urls = { issuerUrl: toUrl(issuerPort), idproxyUrl: toUrl(idproxyPort) };
  const { origin } = await korePage(urls);
  const shared = { COUNTERSIGN_CORS_ORIGINS: origin };
  const idproxy = await startCountersign(['idproxy'], {
    ...shared,
    COUNTERSIGN_IDPROXY_PORT: String(idproxyPort),
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
  });
  let issuer: CountersignProcess | undefined;
  const stop = async (): Promise<void> => {
    await issuer?.stop();
    await idproxy.stop();
  };
  try {
    const registered = await fetch(`${urls.idproxyUrl}/admin/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Chat', algorithm: 'HS512', jwe: { required: true } }),
    });
    assert.equal(registered.status, 201);
    const { clientId, clientSecret } = (await registered.json()) as { clientId: string; clientSecret: string };
    const jwks = (await (await fetch(`${urls.idproxyUrl}/.well-known/jwks.json`)).json()) as { keys: object[] };
    const keyFile = join(idproxy.dataDir, 'platform-jwk.json');
    await writeFile(keyFile, JSON.stringify(jwks.keys[0]));
    issuer = await startCountersign(['issuer'], {
      ...shared,
      COUNTERSIGN_ISSUER_PORT: String(issuerPort),
      COUNTERSIGN_CALLER_AUTH: 'open',
      COUNTERSIGN_CLIENT_ID: clientId,
      COUNTERSIGN_CLIENT_SECRET: clientSecret,
      COUNTERSIGN_ALGORITHM: 'HS512',
      COUNTERSIGN_JWE_KEY_FILE: keyFile,
    });
    return { ...urls, logs: [idproxy.stdout, issuer.stdout], stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

const decodePart = (part = ''): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
const parseBody = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

const CHAINS: Readonly<
  Record<string, { readonly start: StartChain; readonly header: object; readonly parts: number }>
> = {
  HS256: { start: startTogether('HS256'), header: { alg: 'HS256', typ: 'JWT' }, parts: 3 },
  RS256: { start: startTogether('RS256'), header: { alg: 'RS256', typ: 'JWT' }, parts: 3 },
  'a nested JWE, two processes': {
    start: startApart,
    header: { alg: 'RSA-OAEP', enc: 'A256GCM', typ: 'JWT', cty: 'JWT' },
    parts: 5,
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
  readonly failure?: string;
}

function readLogLines(log: string): LogLine[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as LogLine);
}

function assertReadable({ responseHeaders }: Exchange, origin: string): void {
  assert.equal(responseHeaders['access-control-allow-origin'], origin);
  assert.match(responseHeaders['content-type'] ?? '', /^application\/json/);
}

describe('kore-web-sdk in a browser, on an origin of its own', () => {
  let browser: Browser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser?.close());

  for (const [name, { start, header, parts }] of Object.entries(CHAINS)) {
    describe(name, () => {
      let chain: Chain;
      let korePage: KorePage;
      before(async () => {
        chain = await start(async (urls) => (korePage = await startKorePage({ ...urls, identity: IDENTITY })));
      });
      after(async () => {
        await korePage?.close();
        await chain?.stop();
      });

      for (const mintBy of ['JWTUrl', 'JWTAsertion'] as const) {
        it(`gets its JWT by ${mintBy}, exchanges it, and learns that there is no real-time session`, async () => {
          const { page, uncaught, consoleErrors, exchanges, waitForExchange } = await openWatchedPage(browser);
          const { path, type, body, preflight } = WAYS[mintBy];
          const lengths = chain.logs.map((readLog) => readLog().length);
          await page.goto(korePage.toUrl(mintBy));
          // The second start is the client's retry: whatever the first answer could break would be broken by then.
          const started = await waitForExchange(START_PATH, 2);
          await page.locator('.chat-container').first().waitFor({ state: 'attached' });

          const minted = await waitForExchange(path);
          assert.deepEqual([minted.method, minted.status, minted.requestBody], ['POST', 200, body]);
          assert.equal(minted.requestHeaders['content-type'], type);
          assertReadable(minted, korePage.origin);
          const { jwt } = parseBody(minted.responseBody) as { jwt: string };
          assert.equal(jwt.split('.').length, parts);
          const { kid: _kid, ...rest } = decodePart(jwt.split('.')[0]) as { kid?: string };
          assert.deepEqual(rest, header);

          const granted = await waitForExchange(GRANT_PATH);
          assert.equal(granted.status, 200, granted.responseBody);
          assert.equal(parseBody(granted.requestBody)['assertion'], jwt);
          assertReadable(granted, korePage.origin);
          const { authorization, userInfo } = parseBody(granted.responseBody) as {
            authorization: { accessToken: string; token_type: string };
            userInfo: { userId: string };
          };
          assert.equal(authorization.token_type, 'bearer');
          assert.match(userInfo.userId, /^u-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/);

          assert.equal(started.requestHeaders['authorization'], `bearer ${authorization.accessToken}`);
          assert.equal(started.status, 404);
          assertReadable(started, korePage.origin);
          const refusal = { msg: 'real-time sessions are not offered by this server', code: 404 };
          assert.deepEqual(parseBody(started.responseBody), { errors: [refusal] });

          assert.equal(exchanges.filter((exchange) => exchange.path === path).length, 1, 'one token is enough');
          assert.equal(exchanges.filter((exchange) => exchange.path === GRANT_PATH).length, 1, 'exchanged once');
          assert.deepEqual(uncaught, []);
          for (const line of consoleErrors) assert.match(line, /status of 404 .*\/api\/rtm\/start\)$/);

          const lines = chain.logs.flatMap((readLog, index) => readLogLines(readLog().slice(lengths[index])));
          const wasAsked = (askedPath: string): boolean =>
            lines.some((line) => line.method === 'OPTIONS' && line.path === askedPath && line.status === 204);
          assert.equal(wasAsked(path), preflight);
          assert.ok(wasAsked(GRANT_PATH));
          assert.ok(lines.some((line) => line.path === START_PATH && line.failure === 'realtime_unavailable'));
        });
      }
    });
  }
});
