import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { createLogger } from '../../src/http/access-log.ts';
import { createApp } from '../../src/http/create-app.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { createWelcomeRoutes, type WelcomeDeps } from '../../src/welcome/routes.ts';

/** The page as it ships. */
const BUILT = pathToFileURL(`${resolve('dist/welcome/web')}/`);

function startPage(deps: WelcomeDeps): Promise<RunningServer> {
  const app = createApp(
    {
      name: 'issuer',
      logger: createLogger('silent'),
      metrics: createMetrics(),
      metricsToken: undefined,
      checks: {},
      trustProxy: false,
    },
    (server) => server.use(createWelcomeRoutes(deps)),
  );
  return startServer(app, { host: '127.0.0.1', port: 0 });
}

/** What the chat's path and the hint how to get it name. */
async function readSdkVersion(): Promise<string> {
  const { devDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  return devDependencies['kore-web-sdk'] ?? '';
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self' https://idproxy.example:8443",
  'img-src data:',
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const CHAT_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self' https://idproxy.example:8443 wss://idproxy.example:8443",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
  'sandbox allow-scripts allow-same-origin',
].join('; ');

describe('the routes of the demo page', () => {
  let server: RunningServer;
  before(async () => {
    server = await startPage({ idproxyUrl: 'https://idproxy.example:8443/base', hasSessions: true, folder: BUILT });
  });
  after(() => server?.close());

  const files: Readonly<Record<string, string>> = {
    '/': 'text/html; charset=utf-8',
    '/welcome/welcome.js': 'text/javascript; charset=utf-8',
    '/welcome/call.js': 'text/javascript; charset=utf-8',
    '/welcome/welcome.css': 'text/css; charset=utf-8',
  };
  for (const [path, mediaType] of Object.entries(files)) {
    it(`serves ${path} under a policy of its own`, async () => {
      const answer = await fetch(`${server.url}${path}`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('content-type'), mediaType);
      assert.equal(answer.headers.get('content-security-policy'), POLICY);
      assert.equal(answer.headers.get('x-frame-options'), 'DENY');
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(answer.headers.get('cache-control'), 'no-cache');
      const text = await answer.text();
      assert.ok(text.length > 500);
      const head = await fetch(`${server.url}${path}`, { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(text)));
      assert.equal((await fetch(`${server.url}${path}`, { method: 'POST' })).status, 405);
    });
  }

  it('serves the chat under its own policy, which the page around it does not share', async () => {
    const answer = await fetch(`${server.url}/welcome/chat.html`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-security-policy'), CHAT_POLICY);
    assert.equal(answer.headers.get('x-frame-options'), 'SAMEORIGIN');
    assert.equal(answer.headers.get('permissions-policy'), 'camera=(), geolocation=(), microphone=()');
    assert.equal(answer.headers.get('cache-control'), 'no-cache');
    const text = await answer.text();
    assert.match(text, /<meta name="idproxy-url" content="https:\/\/idproxy\.example:8443\/base" \/>/);
    assert.doesNotMatch(text, /secret|token|bearer|jwt|client|identity|\{\{/i);
  });

  it('serves the chat SDK as it is installed, for ever under the path of its version', async () => {
    const path = `${server.url}/welcome/kore-web-sdk-${await readSdkVersion()}.js`;
    const answer = await fetch(path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8');
    assert.equal(answer.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    assert.equal(answer.headers.get('content-security-policy'), POLICY);
    const installed = await readFile('node_modules/kore-web-sdk/dist/umd/kore-web-sdk-umd-chat.min.js');
    assert.ok(installed.equals(Buffer.from(await answer.arrayBuffer())));
    assert.equal((await fetch(path, { method: 'POST' })).status, 405);
  });

  it('serves everything that the page, the chat and their modules ask for', async () => {
    const seen = new Set(['/', '/welcome/chat.html']);
    for (const path of seen) {
      const answer = await fetch(`${server.url}${path}`);
      assert.equal(answer.status, 200, path);
      const text = await answer.text();
      for (const [, name] of text.matchAll(/from '\.\/([\w-]+\.js)'/g)) seen.add(`/welcome/${name}`);
      for (const [, asked = ''] of text.matchAll(/(?:href|src)="(\/[^"]*)"/g)) seen.add(asked);
    }
    const types = [...seen].map((path) => extname(path) || '.html');
    assert.deepEqual([...new Set(types)].sort(), ['.css', '.html', '.js']);
    assert.ok(seen.size > 14);
  });

  for (const path of [
    '/index.html',
    '/welcome/index.html',
    '/welcome/',
    '/welcome/kore-web-sdk.js',
    '/welcome/kore-web-sdk-0.0.0.js',
    '/welcome/tsconfig.json',
    '/welcome/..%2froutes.js',
    '/welcome/%2e%2e/routes.js',
  ]) {
    it(`has nothing at ${path}`, async () => {
      assert.equal((await fetch(`${server.url}${path}`)).status, 404);
    });
  }

  it('tells the page where the idproxy is', async () => {
    const text = await (await fetch(server.url)).text();
    assert.match(text, /<meta name="idproxy-url" content="https:\/\/idproxy\.example:8443\/base" \/>/);
    assert.doesNotMatch(text, /\{\{/);
  });

  it('lets nothing in a URL become markup or another directive', async () => {
    const idproxyUrl = `http://h/"><script>x</script>&$&{{chat}};script-src *`;
    const hostile = await startPage({ idproxyUrl, hasSessions: true, folder: BUILT });
    try {
      const answer = await fetch(hostile.url);
      const text = await answer.text();
      assert.match(
        text,
        /content="http:\/\/h\/&quot;&gt;&lt;script&gt;x&lt;\/script&gt;&amp;\$&amp;\{\{chat\}\};script-src \*"/,
      );
      assert.match(answer.headers.get('content-security-policy') ?? '', /connect-src 'self' http:\/\/h; /);
      const chat = await fetch(`${hostile.url}/welcome/chat.html`);
      assert.match(chat.headers.get('content-security-policy') ?? '', /connect-src 'self' http:\/\/h ws:\/\/h; /);
      assert.doesNotMatch(await chat.text(), /"><script>x/);
    } finally {
      await hostile.close();
    }
    for (const wrong of ['no url', 'file:///etc/passwd', "http://h;script-src'*'/"]) {
      const deps = { idproxyUrl: wrong, hasSessions: true, folder: BUILT };
      assert.throws(() => createWelcomeRoutes(deps), TypeError, wrong);
    }
  });

  it('has no chat where the SDK is not installed or the idproxy has no sessions, and the page knows why', async () => {
    const version = await readSdkVersion();
    const elsewhere = await mkdtemp(join(tmpdir(), 'countersign-page-'));
    const sdkFrom = pathToFileURL(join(elsewhere, 'module.js')).href;
    const cases = { 'no-sdk': { hasSessions: true, sdkFrom }, 'no-sessions': { hasSessions: false } };
    try {
      for (const [word, deps] of Object.entries(cases)) {
        const page = await startPage({ idproxyUrl: 'http://127.0.0.1:4000', folder: BUILT, ...deps });
        try {
          assert.match(await (await fetch(page.url)).text(), new RegExp(`<meta name="chat" content="${word}" />`));
          for (const path of ['/welcome/chat.html', `/welcome/kore-web-sdk-${version}.js`]) {
            assert.equal((await fetch(`${page.url}${path}`)).status, 404, `${word}: ${path}`);
          }
        } finally {
          await page.close();
        }
      }
      const installed = join(elsewhere, 'node_modules', 'kore-web-sdk');
      await mkdir(join(installed, 'dist', 'umd'), { recursive: true });
      await writeFile(join(installed, 'dist', 'umd', 'kore-web-sdk-umd-chat.min.js'), '');
      await writeFile(join(installed, 'package.json'), JSON.stringify({ version: '1"><script>' }));
      assert.throws(
        () => createWelcomeRoutes({ idproxyUrl: 'http://127.0.0.1:4000', hasSessions: true, folder: BUILT, sdkFrom }),
        TypeError,
      );
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
    const script = await (await fetch(`${server.url}/welcome/chat-step.js`)).text();
    assert.ok(script.includes(`npm install --no-save kore-web-sdk@${version} `), 'the hint names the tested version');
  });

  it('serves only what a page is made of, as it was at the start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-page-'));
    try {
      for (const name of ['index.html', 'page.js', 'page.js.map', '.env']) await writeFile(join(folder, name), name);
      const own = pathToFileURL(`${folder}/`);
      const page = await startPage({ idproxyUrl: 'http://127.0.0.1:4000', hasSessions: true, folder: own });
      await writeFile(join(folder, 'page.js'), 'changed');
      try {
        const statuses: Record<string, number> = {};
        for (const path of ['/', '/welcome/page.js', '/welcome/page.js.map', '/welcome/.env']) {
          statuses[path] = (await fetch(`${page.url}${path}`)).status;
        }
        assert.deepEqual(statuses, {
          '/': 200,
          '/welcome/page.js': 200,
          '/welcome/page.js.map': 404,
          '/welcome/.env': 404,
        });
        assert.equal(await (await fetch(`${page.url}/welcome/page.js`)).text(), 'page.js');
      } finally {
        await page.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
