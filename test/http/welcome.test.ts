import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
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

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self' https://idproxy.example:8443",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

describe('the routes of the demo page', () => {
  let server: RunningServer;
  before(async () => {
    server = await startPage({ idproxyUrl: 'https://idproxy.example:8443/base', folder: BUILT });
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
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(answer.headers.get('cache-control'), 'no-cache');
      const text = await answer.text();
      assert.ok(text.length > 500);
      const head = await fetch(`${server.url}${path}`, { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(text)));
      assert.equal((await fetch(`${server.url}${path}`, { method: 'POST' })).status, 405);
    });
  }

  it('serves everything that the page and its modules ask for', async () => {
    const seen = new Set(['/']);
    for (const path of seen) {
      const answer = await fetch(`${server.url}${path}`);
      assert.equal(answer.status, 200, path);
      const text = await answer.text();
      for (const [, name] of text.matchAll(/from '\.\/([\w-]+\.js)'/g)) seen.add(`/welcome/${name}`);
      for (const [, asked = ''] of text.matchAll(/(?:href|src)="(\/[^"]*)"/g)) seen.add(asked);
    }
    const types = [...seen].map((path) => path.split('.')[1] ?? 'html');
    assert.deepEqual([...new Set(types)].sort(), ['css', 'html', 'js']);
    assert.ok(seen.size > 6);
  });

  for (const path of [
    '/index.html',
    '/welcome/index.html',
    '/welcome/',
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
    const hostile = await startPage({ idproxyUrl: `http://h/"><script>x</script>&$&;script-src *`, folder: BUILT });
    try {
      const answer = await fetch(hostile.url);
      const text = await answer.text();
      assert.match(text, /content="http:\/\/h\/&quot;&gt;&lt;script&gt;x&lt;\/script&gt;&amp;\$&amp;;script-src \*"/);
      assert.match(answer.headers.get('content-security-policy') ?? '', /connect-src 'self' http:\/\/h; /);
    } finally {
      await hostile.close();
    }
    for (const idproxyUrl of ['no url', 'file:///etc/passwd', "http://h;script-src'*'/"]) {
      assert.throws(() => createWelcomeRoutes({ idproxyUrl, folder: BUILT }), TypeError, idproxyUrl);
    }
  });

  it('serves only what a page is made of, as it was at the start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-page-'));
    try {
      for (const name of ['index.html', 'page.js', 'page.js.map', '.env']) await writeFile(join(folder, name), name);
      const page = await startPage({ idproxyUrl: 'http://127.0.0.1:4000', folder: pathToFileURL(`${folder}/`) });
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
