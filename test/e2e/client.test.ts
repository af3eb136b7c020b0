import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';

import type * as Shipped from '../../src/client/client.ts';
import { openWatchedPage, startBrowser } from '../support/browser.ts';
import {
  type CountersignProcess,
  createTempFolder,
  getFreePort,
  type RedisProcess,
  startCountersign,
  startRedis,
} from '../support/processes.ts';

const execute = promisify(execFile);
const ENTRY = createRequire(resolve('package.json')).resolve('countersign/client');
const { createClient, ClientError } = (await import(ENTRY)) as typeof Shipped;

const [MINT, EXCHANGE, USER_INFO, REVOKE] = ['/api/users/sts', '/authorize', '/api/1.1/userinfo', '/oauth/revoke'];
const IDENTITY = 'alice@example.com';
const BEARER = /^cs1_/;

interface Watched {
  readonly client: Shipped.Client;
  /** What was asked, and how it ended: a status, or `failed`. */
  readonly calls: readonly string[];
  /** Resolves at the first call that ends so. */
  waitFor(call: string): Promise<void>;
}

/** The shipped client with the real `fetch`, watched. */
function createWatched(
  { issuerUrl, idproxyUrl }: Pick<CountersignProcess, 'issuerUrl' | 'idproxyUrl'>,
  options: Partial<Shipped.ClientOptions> = {},
): Watched {
  const calls: string[] = [];
  const waiting = new Map<string, () => void>();
  const note = (call: string): void => {
    calls.push(call);
    waiting.get(call)?.();
  };
  const client = createClient({
    idproxyUrl,
    issuer: { url: `${issuerUrl}${MINT}`, identity: IDENTITY },
    fetch: async (url, init) => {
      const { pathname } = new URL(url);
      try {
        const response = await fetch(url, init);
        note(`${pathname} ${response.status}`);
        return response;
      } catch (error) {
        note(`${pathname} failed`);
        throw error;
      }
    },
    ...options,
  });
  const waitFor = (call: string): Promise<void> =>
    new Promise((done) => {
      if (calls.includes(call)) done();
      waiting.set(call, done);
    });
  return { client, calls, waitFor };
}

async function readSubject(response: Response): Promise<unknown> {
  return ((await response.json()) as { sub?: unknown }).sub;
}

describe('countersign/client in Node', () => {
  let server: CountersignProcess;
  before(async () => {
    server = await startCountersign(['start']);
  });
  after(() => server?.stop());

  const mint = async (): Promise<string> => {
    const answer = await fetch(`${server.issuerUrl}${MINT}`, {
      method: 'POST',
      body: new URLSearchParams({ identity: IDENTITY }),
    });
    return ((await answer.json()) as { jwt: string }).jwt;
  };
  const askWith = (bearer: string): Promise<Response> =>
    fetch(`${server.idproxyUrl}${USER_INFO}`, { headers: { authorization: `Bearer ${bearer}` } });

  it('gets one bearer for many callers, which is good until it is signed out', async () => {
    const { client, calls } = createWatched(server);
    const bearers = await Promise.all(Array.from({ length: 20 }, () => client.getBearer()));
    const [bearer = ''] = bearers;
    assert.deepEqual([new Set(bearers).size, calls], [1, [`${MINT} 200`, `${EXCHANGE} 200`]]);
    assert.match(bearer, BEARER);
    assert.equal(await readSubject(await client.fetchWithBearer(`${server.idproxyUrl}${USER_INFO}`)), IDENTITY);
    await client.signOut();
    assert.equal(calls.at(-1), `${REVOKE} 200`);
    assert.equal((await askWith(bearer)).status, 401);
    assert.notEqual(await client.getBearer(), bearer);
  });

  it('renews once when its bearer was revoked elsewhere', async () => {
    const { client, calls } = createWatched(server);
    const bearer = await client.getBearer();
    const headers = { authorization: `Bearer ${bearer}` };
    const body = new URLSearchParams({ token: bearer });
    await fetch(`${server.idproxyUrl}${REVOKE}`, { method: 'POST', headers, body });
    const before = calls.length;
    const url = `${server.idproxyUrl}${USER_INFO}`;
    const answers = await Promise.all([client.fetchWithBearer(url), client.fetchWithBearer(url)]);
    assert.deepEqual(await Promise.all(answers.map(readSubject)), [IDENTITY, IDENTITY]);
    const expected = [`${USER_INFO} 401`, `${USER_INFO} 401`, `${MINT} 200`, `${EXCHANGE} 200`];
    assert.deepEqual(calls.slice(before).sort(), [...expected, `${USER_INFO} 200`, `${USER_INFO} 200`].sort());
  });

  it('asks the page for one fresh JWT when the first was used', async () => {
    const used = await mint();
    await fetch(`${server.idproxyUrl}${EXCHANGE}`, { method: 'POST', body: new URLSearchParams({ assertion: used }) });
    const jwts = [used, await mint()];
    const { client, calls } = createWatched(server, { issuer: () => Promise.resolve(jwts.shift() ?? '') });
    assert.match(await client.getBearer(), BEARER);
    assert.deepEqual(calls, [`${EXCHANGE} 401`, `${EXCHANGE} 200`]);
  });

  it('hands a refusal on at once, with the words of the server', async () => {
    const forged = `${(await mint()).split('.').slice(0, 2).join('.')}.AAAA`;
    const refused = createWatched(server, { issuer: () => Promise.resolve(forged) });
    await assert.rejects(refused.client.getBearer(), {
      name: 'ClientError',
      code: 'refused',
      status: 401,
      message: 'error verifying the jwt: not signed or encrypted by a known client',
    });
    assert.deepEqual(refused.calls, [`${EXCHANGE} 401`]);
    const nameless = createWatched(server, { issuer: { url: `${server.issuerUrl}${MINT}` } });
    await assert.rejects(nameless.client.getBearer(), { code: 'refused', status: 400 });
    assert.deepEqual(nameless.calls, [`${MINT} 400`]);
  });

  it('goes on with the same anonymous visitor', async () => {
    const { client } = createWatched(server, { issuer: { url: `${server.issuerUrl}${MINT}`, isAnonymous: true } });
    const ask = async (): Promise<unknown> =>
      readSubject(await client.fetchWithBearer(`${server.idproxyUrl}${USER_INFO}`));
    const first = await ask();
    assert.match(String(first), /^\w{20,}$/);
    await client.signOut();
    assert.equal(await ask(), first);
  });
});

describe('countersign/client while servers fail', () => {
  it('waits for a server that restarts', async () => {
    const folder = await createTempFolder();
    const env = {
      COUNTERSIGN_DATA_DIR: join(folder, 'data'),
      COUNTERSIGN_KEYS_DIR: join(folder, 'keys'),
      COUNTERSIGN_ISSUER_PORT: String(await getFreePort()),
      COUNTERSIGN_IDPROXY_PORT: String(await getFreePort()),
    };
    let server = await startCountersign(['start'], env);
    try {
      const { client, waitFor } = createWatched(server, { firstDelayMs: 20, maxDelayMs: 200, maxAttempts: 1000 });
      await server.stop();
      const bearer = client.getBearer();
      await waitFor(`${MINT} failed`);
      server = await startCountersign(['start'], env);
      assert.match(await bearer, BEARER);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('presents the same JWT again once Redis is back', async () => {
    let redis: RedisProcess | undefined;
    let server: CountersignProcess | undefined;
    try {
      redis = await startRedis();
      server = await startCountersign(['start'], { COUNTERSIGN_REDIS_URL: redis.url });
      const { client, calls, waitFor } = createWatched(server, {
        firstDelayMs: 20,
        maxDelayMs: 200,
        maxAttempts: 1000,
      });
      // The issuer and the exchange work before the store is stopped.
      await client.getBearer();
      await client.signOut();
      redis.pause();
      const bearer = client.getBearer();
      await waitFor(`${EXCHANGE} 503`);
      redis.resume();
      assert.match(await bearer, BEARER);
      assert.equal(calls.filter((call) => call === `${MINT} 200`).length, 2, 'no further JWT was needed');
    } finally {
      redis?.resume();
      await server?.stop();
      await redis?.stop();
    }
  });

  it('says so when nobody is there, and leaves no listener behind', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): number => warnings.push(warning);
    process.on('warning', listen);
    try {
      const url = `http://127.0.0.1:${await getFreePort()}`;
      const { client, calls } = createWatched(
        { issuerUrl: url, idproxyUrl: url },
        { firstDelayMs: 0, maxAttempts: 15 },
      );
      await assert.rejects(client.getBearer(), (error) => error instanceof ClientError && error.code === 'network');
      assert.deepEqual(
        calls,
        Array.from({ length: 15 }, () => `${MINT} failed`),
      );
      assert.deepEqual(warnings, []);
    } finally {
      process.off('warning', listen);
    }
  });
});

describe('countersign/client in a browser', () => {
  const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="icon" href="data:,"><script type="module">
import * as shipped from '/client.js';
Object.assign(window, shipped);
document.title = 'ready';
</script></head><body></body></html>`;
  let server: CountersignProcess;
  let browser: Browser;
  const site = createServer((req, res) => {
    const isPage = req.url === '/';
    res.setHeader('content-type', isPage ? 'text/html; charset=utf-8' : 'text/javascript');
    if (isPage) res.end(PAGE);
    else
      readFile(join(dirname(ENTRY), basename(req.url ?? ''))).then(
        (text) => res.end(text),
        () => res.writeHead(404).end(),
      );
  });
  before(async () => {
    site.listen(0, '127.0.0.1');
    [server, browser] = await Promise.all([startCountersign(['start']), startBrowser(), once(site, 'listening')]);
  });
  after(async () => {
    await browser?.close();
    site.closeAllConnections();
    site.close();
    await server?.stop();
  });

  it('works from a page of another origin and leaves nothing behind', async () => {
    const { page, exchanges, uncaught, consoleErrors, waitForExchange } = await openWatchedPage(browser);
    await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
    await page.waitForFunction("document.title === 'ready'");
    const settings = {
      idproxyUrl: server.idproxyUrl,
      issuer: { url: `${server.issuerUrl}${MINT}`, identity: IDENTITY },
    };
    const [subject, bearers] = await page.evaluate<[string, string[]]>(`(async () => {
      window.client = createClient(${JSON.stringify(settings)});
      const bearers = await Promise.all([1, 2, 3].map(() => client.getBearer()));
      const answer = await client.fetchWithBearer(${JSON.stringify(`${server.idproxyUrl}${USER_INFO}`)});
      return [(await answer.json()).sub, bearers];
    })()`);
    assert.equal(subject, IDENTITY);
    assert.equal(new Set(bearers).size, 1);
    const kept = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    assert.equal(kept, '[{},{},""]');

    await page.evaluate('client.signOut()');
    assert.equal((await waitForExchange(REVOKE)).status, 200);
    const counts = [MINT, EXCHANGE, USER_INFO, REVOKE].map(
      (path) => exchanges.filter((one) => one.path === path).length,
    );
    assert.deepEqual(counts, [1, 1, 1, 1]);
    assert.deepEqual([...uncaught, ...consoleErrors], []);
    const headers = { authorization: `Bearer ${bearers[0]}` };
    assert.equal((await fetch(`${server.idproxyUrl}${USER_INFO}`, { headers })).status, 401);
  });

  it('fails typed', async () => {
    const { page } = await openWatchedPage(browser);
    await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
    await page.waitForFunction("document.title === 'ready'");
    const settings = { idproxyUrl: server.idproxyUrl, issuer: { url: `${server.issuerUrl}${MINT}`, identity: '' } };
    const failure = await page.evaluate<object>(`createClient(${JSON.stringify(settings)}).getBearer().catch(
      (error) => ({ isTyped: error instanceof ClientError, code: error.code, status: error.status }))`);
    assert.deepEqual(failure, { isTyped: true, code: 'refused', status: 400 });
  });
});

describe('the declarations of countersign/client', () => {
  const CONSUMER = `import { type Client, ClientError, createClient } from 'countersign/client';
const client: Client = createClient({ idproxyUrl: 'https://idproxy.example', issuer: async (signal) => signal.reason });
const bearer: string = await client.getBearer(AbortSignal.timeout(1));
export const isRefused = (error: unknown): boolean => error instanceof ClientError && error.code === 'refused';
export { bearer };
`;
  const LIBRARIES = { 'a page': ['--lib', 'es2022,dom', '--types', ''], Node: ['--lib', 'es2022', '--types', 'node'] };
  for (const [where, args] of Object.entries(LIBRARIES)) {
    it(`hold for ${where}`, async () => {
      const folder = await createTempFolder();
      try {
        await mkdir(join(folder, 'node_modules'));
        await symlink(resolve('.'), join(folder, 'node_modules', 'countersign'));
        await symlink(resolve('node_modules', '@types'), join(folder, 'node_modules', '@types'));
        await writeFile(join(folder, 'package.json'), '{"type":"module"}');
        await writeFile(join(folder, 'consumer.ts'), CONSUMER);
        const fixed = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext'];
        const compiler = resolve('node_modules', 'typescript', 'bin', 'tsc');
        await execute(process.execPath, [compiler, ...fixed, ...args, 'consumer.ts'], { cwd: folder });
        await writeFile(join(folder, 'consumer.ts'), CONSUMER.replace("'refused'", "'rejected'"));
        await assert.rejects(execute(process.execPath, [compiler, ...fixed, ...args, 'consumer.ts'], { cwd: folder }));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }
});
