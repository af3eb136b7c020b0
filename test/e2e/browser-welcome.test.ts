import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Browser, Locator, Page } from 'playwright-core';
import { openWatchedPage, startBrowser, type WatchedPage } from '../support/browser.ts';
import { type CountersignProcess, createTempFolder, startCountersign } from '../support/processes.ts';

const execute = promisify(execFile);
const REPLAY = 'error verifying the jwt: possibly a replay';
const USER_ID = /u-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/;

const step = (page: Page, id: string): { readonly outcome: Locator; readonly calls: Locator } => ({
  outcome: page.locator(`#${id} .outcome`),
  calls: page.locator(`#${id} .call`),
});

/** Presses a button and waits until its act is over. */
async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
  await page.locator('body:not([aria-busy])').waitFor();
}

async function walkThrough(page: Page): Promise<void> {
  for (const name of ['Mint a token', 'Exchange it', 'Ask with the bearer']) await press(page, name);
}

/** What stands in the row of a decoded token. */
function readMember(page: Page, name: string): Promise<string> {
  return page
    .locator('.members tr', { has: page.getByRole('rowheader', { name, exact: true }) })
    .locator('td')
    .innerText();
}

async function runInShell(line: string): Promise<Record<string, unknown>> {
  const { stdout } = await execute('bash', ['-c', line]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('the demo page', () => {
  let countersign: CountersignProcess;
  let browser: Browser;
  const openPage = async (url = countersign.issuerUrl): Promise<WatchedPage> => {
    const watched = await openWatchedPage(browser);
    await watched.page.goto(`${url}/`);
    return watched;
  };

  before(async () => {
    [countersign, browser] = await Promise.all([startCountersign(['start']), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await countersign?.stop();
  });

  it('goes from a name to a bearer, shows each step, and loads nothing from elsewhere', async () => {
    const { page, uncaught, consoleErrors, exchanges, waitForExchange } = await openPage();
    await page.getByLabel('Identity', { exact: true }).fill('bob@example.com');
    await press(page, 'Mint a token');
    assert.equal(await step(page, 'mint').outcome.innerText(), 'Signed for bob@example.com.');
    const minted = await waitForExchange('/api/users/sts');
    const { jwt } = JSON.parse(minted.responseBody) as { jwt: string };
    assert.equal(await page.locator('#mint .token').innerText(), jwt);
    assert.deepEqual(await page.locator('#mint .token .part').allInnerTexts(), jwt.split('.'));
    assert.deepEqual(await page.locator('#mint .legend li').allInnerTexts(), ['header', 'payload', 'signature']);
    assert.match(await readMember(page, 'alg'), /^"HS256"/);
    assert.match(await readMember(page, 'sub'), /^"bob@example\.com"\n/);
    assert.match(await readMember(page, 'exp'), /^\d{10}\n.*\d{4}.*, expires in (?:5 min|4 min \d+ s)$/);

    await press(page, 'Exchange it');
    assert.match(await step(page, 'exchange').outcome.innerText(), /^Granted: a bearer for 1 h\.$/);
    const granted = await waitForExchange('/authorize');
    const { access_token: accessToken } = JSON.parse(granted.responseBody) as { access_token: string };
    assert.equal(await page.locator('#exchange .bearer').innerText(), accessToken);

    await press(page, 'Ask with the bearer');
    const answer = await step(page, 'ask').outcome.innerText();
    assert.ok(answer.startsWith('You are bob@example.com. '), answer);
    assert.match(answer, USER_ID);

    await waitForExchange('/api/1.1/userinfo');
    assert.deepEqual([...uncaught, ...consoleErrors], []);
    const origins = new Set(
      exchanges.filter(({ url }) => !url.startsWith('data:')).map(({ url }) => new URL(url).origin),
    );
    assert.deepEqual([...origins].sort(), [countersign.issuerUrl, countersign.idproxyUrl].sort());
    const shown = `${await page.content()}${exchanges.map(({ responseBody }) => responseBody).join('')}`;
    const adminToken = /admin token[^:]*: (\S+)/.exec(countersign.stdout())?.[1] ?? '';
    assert.ok(adminToken.length >= 43, 'the banner has the admin token');
    assert.ok(!shown.includes(adminToken), 'the page has it not');
  });

  it('shows every request with its answer, and as a curl line that works', async () => {
    const { page } = await openPage();
    await page.getByLabel('Identity', { exact: true }).fill("o'hara@example.com");
    await walkThrough(page);
    const mint = step(page, 'mint').calls;
    assert.match(await mint.locator('.call-line').innerText(), /^POST\s+http\S+\/api\/users\/sts\s+200 OK · \d+ ms$/);
    assert.match(await mint.locator('.request').innerText(), /"identity":"o'hara@example\.com"/);
    assert.match(await mint.locator('.response').innerText(), /^\{\n {2}"jwt": "[\w.-]+"\n\}$/);

    const readCurl = async (id: string): Promise<string> =>
      (await page.locator(`#${id} .curl-line`).textContent()) ?? '';
    assert.match(String((await runInShell(await readCurl('mint')))['jwt']), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.deepEqual(await runInShell(await readCurl('exchange')), { errors: [{ msg: REPLAY, code: 401 }] });
    assert.equal((await runInShell(await readCurl('ask')))['sub'], "o'hara@example.com");

    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('#ask').getByRole('button', { name: 'Copy curl' }).click();
    await page.locator('#ask .copied', { hasText: 'Copied.' }).waitFor();
    assert.equal(await page.evaluate<string>('navigator.clipboard.readText()'), await readCurl('ask'));
  });

  it('shows how a second use of the token is refused', async () => {
    const { page, uncaught, consoleErrors } = await openPage();
    await walkThrough(page);
    await press(page, 'Present the same token again');
    const { outcome, calls } = step(page, 'exchange');
    assert.equal(await outcome.innerText(), `As it should be. Refused (401): ${REPLAY}`);
    assert.equal(await calls.count(), 2);
    assert.match(await calls.first().locator('.status').innerText(), /^401 Unauthorized/);
    assert.match(await page.locator('#exchange .bearer').innerText(), /^cs1_/, 'the bearer stays');
    // Chromium itself notes an answer of 401 in the console; nothing else may be there.
    assert.deepEqual(
      consoleErrors.map((line) => line.replace(/ \(http.*$/, '')),
      ['Failed to load resource: the server responded with a status of 401 (Unauthorized)'],
    );
    assert.deepEqual(uncaught, []);
  });

  it('makes an anonymous user', async () => {
    const { page, waitForExchange, consoleErrors } = await openPage();
    await page.getByLabel('Anonymous').check();
    assert.ok(await page.getByLabel('Identity', { exact: true }).isDisabled());
    await walkThrough(page);
    assert.equal((await waitForExchange('/api/users/sts')).requestBody, '{"isAnonymous":true}');
    assert.match(await readMember(page, 'sub'), /^"[\w-]{22}"/);
    assert.match(await readMember(page, 'isAnonymous'), /^true/);
    assert.match(await step(page, 'ask').outcome.innerText(), /^You are an anonymous user, [\w-]{22}\. /);
    assert.deepEqual(consoleErrors, []);
  });

  it('shows of an encrypted token what can be read without the key', async () => {
    const folder = await createTempFolder();
    const env = { COUNTERSIGN_DATA_DIR: join(folder, 'data'), COUNTERSIGN_KEYS_DIR: join(folder, 'keys') };
    const first = await startCountersign(['start'], env);
    const jwks = (await (await fetch(`${first.idproxyUrl}/.well-known/jwks.json`)).json()) as { keys: object[] };
    await first.stop();
    const keyFile = join(folder, 'platform-jwk.json');
    await writeFile(keyFile, JSON.stringify(jwks.keys[0]));
    const second = await startCountersign(['start'], { ...env, COUNTERSIGN_JWE_KEY_FILE: keyFile });
    try {
      const { page, consoleErrors } = await openPage(second.issuerUrl);
      await walkThrough(page);
      assert.equal(await page.locator('#mint .token .part').count(), 5);
      assert.match(
        (await page.locator('#mint .legend li').allInnerTexts()).join(),
        /^header,encrypted key,.*,authentication tag$/,
      );
      assert.match(await readMember(page, 'alg'), /^"RSA-OAEP"\nhow the content key is encrypted$/);
      assert.match(await readMember(page, 'enc'), /^"A256GCM"/);
      assert.deepEqual(await page.locator('.members caption').allInnerTexts(), ['JWE header']);
      assert.match(await step(page, 'ask').outcome.innerText(), /^You are alice@example\.com\. /);
      assert.deepEqual(consoleErrors, []);
    } finally {
      await second.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('counts down', async () => {
    const { page } = await openPage();
    await press(page, 'Mint a token');
    const expiry = page.locator('#mint .expiry');
    const before = await expiry.innerText();
    await page.locator('#mint .expiry', { hasNotText: before }).waitFor();
    assert.match(await expiry.innerText(), /^expires in 4 min \d+ s$/);
  });

  it('says in words what the issuer refuses, and begins anew', async () => {
    const { page } = await openPage();
    await walkThrough(page);
    await page.getByLabel('Identity', { exact: true }).fill('');
    await press(page, 'Mint a token');
    assert.match(await step(page, 'mint').outcome.innerText(), /^Refused \(400\): "identity":? is missing$/);
    assert.equal(await step(page, 'exchange').calls.count(), 0, 'what came of the former token is gone');
    assert.ok(await page.getByRole('button', { name: 'Exchange it' }).isDisabled());
    assert.ok(await page.getByRole('button', { name: 'Ask with the bearer' }).isDisabled());
  });

  it('never takes a text for markup', async () => {
    const { page, uncaught, consoleErrors } = await openPage();
    const name = `<img src=x onerror="document.title='taken'">`;
    await page.getByLabel('Identity', { exact: true }).fill(name);
    await walkThrough(page);
    assert.equal(await step(page, 'mint').outcome.innerText(), `Signed for ${name}.`);
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.title(), 'Countersign: mint, exchange, ask, chat');
    assert.deepEqual([...uncaught, ...consoleErrors], []);
  });

  it('works from the keyboard alone', async () => {
    const { page } = await openPage();
    const readFocus = (): Promise<string> => page.evaluate<string>('document.activeElement.id');
    const tabTo = async (id: string): Promise<void> => {
      for (let presses = 0; (await readFocus()) !== id; presses += 1) {
        assert.ok(presses < 20, `${id} is reached`);
        await page.keyboard.press('Tab');
      }
    };
    const settle = (id: string): Promise<void> => page.locator(`#${id} .outcome:not(:empty)`).waitFor();
    await tabTo('identity');
    await page.keyboard.press('Enter');
    await settle('mint');
    await tabTo('exchange-button');
    await page.keyboard.press('Space');
    await settle('exchange');
    assert.equal(await readFocus(), 'exchange-button', 'the focus stays');
    await tabTo('ask-button');
    await page.keyboard.press('Enter');
    await settle('ask');
    assert.match(await step(page, 'ask').outcome.innerText(), /^You are alice@example\.com\. /);
    assert.equal(await page.getByRole('status').filter({ hasText: 'You are alice' }).count(), 1, 'it is announced');
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`fits a narrow screen, ${colorScheme}`, async () => {
      const { page } = await openPage();
      await page.setViewportSize({ width: 390, height: 844 });
      await page.emulateMedia({ colorScheme });
      await walkThrough(page);
      assert.equal(await page.evaluate<number>('document.documentElement.scrollWidth'), 390);
      const [red = 0] =
        (await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')).match(/\d+/g) ?? [];
      assert.equal(Number(red) < 128, colorScheme === 'dark');
    });
  }

  it('runs under a policy that refuses markup from texts, other scripts and other servers', async () => {
    const { page, consoleErrors } = await openPage();
    const refused = {
      markup: "document.body.innerHTML = '<p>x</p>'",
      script:
        "document.head.append(Object.assign(document.createElement('script'), { src: 'data:text/javascript,0' }))",
      policy: "trustedTypes.createPolicy('page', {})",
    };
    for (const [what, code] of Object.entries(refused)) {
      await assert.rejects(page.evaluate(`(() => { ${code} })()`), what);
    }
    await assert.rejects(page.evaluate(`fetch('http://127.0.0.1:1/')`));
    assert.match(consoleErrors.join('\n'), /connect-src 'self' http:\/\/127\.0\.0\.1:\d+/);
  });

  it('says in words that nobody answers', async () => {
    const other = await startCountersign(['start']);
    try {
      const { page } = await openPage(other.issuerUrl);
      await press(page, 'Mint a token');
      await other.stop();
      await press(page, 'Exchange it');
      const said = await step(page, 'exchange').outcome.innerText();
      assert.ok(said.startsWith(`No answer from ${other.idproxyUrl}. Is it running`), said);
      assert.match(await step(page, 'exchange').calls.locator('.status').innerText(), /^no answer/);
      await press(page, 'Mint a token');
      assert.match(await step(page, 'mint').outcome.innerText(), /^No answer from /);
    } finally {
      await other.stop();
    }
  });
});
