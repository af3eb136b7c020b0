import assert from 'node:assert/strict';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import type { Express } from 'express';

import { createOpenapiYaml, findStaleLine } from '../../scripts/openapi.ts';
import { systemClock } from '../../src/core/clock.ts';
import { type ErrorCode, ERRORS } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { createServiceCallRoutes } from '../../src/gateway/routes/service-calls.ts';
import type { ServiceCalls } from '../../src/gateway/service-calls/service-calls.ts';
import { createLogger } from '../../src/http/access-log.ts';
import { createApp } from '../../src/http/create-app.ts';
import { parseKeyList } from '../../src/http/key-list.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { toFailureExample } from '../../src/http/openapi-failures.ts';
import { createPlatform } from '../../src/cli/create-platform.ts';
import { createIssuerApp } from '../../src/issuer/create-issuer-app.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createVault } from '../../src/vault/vault.ts';
import { listCodes, listOperations, type OpenapiDocument, readOpenapi } from '../support/openapi.ts';
import { createTempFolder } from '../support/processes.ts';

interface Layer {
  readonly slash: boolean;
  readonly route?: { readonly path: string | readonly string[]; readonly methods: Readonly<Record<string, boolean>> };
  readonly handle: { readonly stack?: readonly Layer[] };
}

/** `POST /authorize` and its like, of every route that a router and those inside it have. */
function listRoutes(stack: readonly Layer[]): string[] {
  return stack.flatMap(({ route, handle, slash }) => {
    if (route === undefined) {
      assert.ok(handle.stack === undefined || slash, 'a router inside another one is mounted at its root');
      return listRoutes(handle.stack ?? []);
    }
    const methods = Object.keys(route.methods).filter((method) => method !== '_all');
    const paths = [route.path].flat().map((path) => path.replaceAll(/:(\w+)/g, '{$1}'));
    return paths.flatMap((path) => methods.map((method) => `${method.toUpperCase()} ${path}`));
  });
}

const routesOf = (app: Express): string[] => listRoutes((app.router as unknown as { stack: Layer[] }).stack).sort();

const shared = {
  logger: createLogger('silent'),
  metrics: createMetrics(),
  metricsToken: undefined,
  trustProxy: false,
} as const;
const cors = { origins: [], allowLoopback: false, allowCredentials: false };

async function createIdproxyRoutes(t: TestContext): Promise<string[]> {
  const folder = await createTempFolder();
  const store = createEmbeddedStore({ path: join(folder, 'test.db'), clock: systemClock });
  const idproxy = createPlatform(
    {
      publicUrl: () => 'https://idproxy.example',
      rateLimitPerMinute: 1,
      botTimeoutMs: 1_000,
      connectorsPerCompany: 2,
      gatewayUrls: ['https://gateway.example:8443'],
      cors,
    },
    {
      ...shared,
      store,
      vault: createVault(Buffer.alloc(32, 7)),
      clock: systemClock,
      isAdmin: () => false,
      introspectionKeys: parseKeyList(''),
      contextKeys: parseKeyList(''),
      bot: undefined,
    },
  );
  t.after(async () => {
    await idproxy.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return routesOf(idproxy.app);
}

async function createIssuerRoutes(): Promise<string[]> {
  const settings = {
    clientId: 'cs-1',
    algorithm: 'HS256',
    key: new Secret('a client secret of no meaning, 7f3c'),
    audiences: ['https://idproxy.kore.com/authorize'],
    tokenLifetimeSeconds: 300,
    koreClaims: false,
    callerAuth: { mode: 'open', isNetworkAllowed: false },
    allowAnonymous: true,
    claimsName: 'privateClaims',
    upstreamTimeoutMs: 1_000,
    rateLimitPerMinute: 1,
    cors,
  } as const;
  return routesOf(await createIssuerApp(settings, { ...shared, checks: {}, clock: systemClock, fetch }));
}

function createGatewayRoutes(): string[] {
  const calls = {} as ServiceCalls;
  const authenticate = () => Promise.reject(new Error('nobody calls'));
  return routesOf(
    createApp({ ...shared, name: 'gateway', checks: {} }, (app) =>
      app.use(...createServiceCallRoutes({ calls, authenticate })),
    ),
  );
}

const documentedRoutes = (document: OpenapiDocument, server: string): string[] =>
  [...listOperations(document).values()]
    .filter(({ servers }) => servers.includes(server))
    .map(({ method, path }) => `${method} ${path}`)
    .sort();

test('openapi.yaml is what the code says', async () => {
  assert.equal(
    findStaleLine(await readFile('openapi.yaml', 'utf8'), createOpenapiYaml()),
    undefined,
    'run "npm run openapi"',
  );
});

test('a stale description is told by its line', () => {
  assert.equal(findStaleLine('a\nb\n', 'a\nc\n'), 'line 2 is\n  b\nand should be\n  c');
  assert.equal(findStaleLine('', 'a\n'), 'line 1 is\n  \nand should be\n  a');
  assert.equal(findStaleLine('a\n', 'a\n'), undefined);
  assert.match(findStaleLine('a\nb', 'a') ?? '', /^line 2 is\n {2}b\nand should be\n {2}\(missing\)$/);
});

test('the idproxy has the documented routes and no other', async (t) => {
  const routes = await createIdproxyRoutes(t);
  assert.ok(routes.includes('POST /authorize') && routes.includes('DELETE /admin/apps/{clientId}'), routes.join());
  assert.deepEqual(routes, documentedRoutes(await readOpenapi(), 'idproxy'));
});

test('the issuer has the documented routes and no other', async () => {
  const routes = await createIssuerRoutes();
  assert.ok(routes.includes('POST /api/users/sts'), routes.join());
  assert.deepEqual(routes, documentedRoutes(await readOpenapi(), 'issuer'));
});

test('the gateway has the documented routes and no other', async () => {
  const routes = createGatewayRoutes();
  assert.ok(routes.includes('POST /service-calls'), routes.join());
  assert.deepEqual(routes, documentedRoutes(await readOpenapi(), 'gateway'));
});

test('every operation has a summary, a success, a 4xx and a sample', async () => {
  const operations = [...listOperations(await readOpenapi()).values()];
  assert.ok(operations.length > 15);
  for (const { operationId, summary, responses, 'x-codeSamples': samples } of operations) {
    const statuses = Object.keys(responses);
    assert.notEqual(summary, '', operationId);
    assert.equal(samples.length, 1, operationId);
    assert.ok(
      statuses.some((status) => status.startsWith('4')),
      operationId,
    );
    const successes = statuses.filter((status) => status.startsWith('2'));
    assert.equal(successes.length, 1, operationId);
  }
});

/** Codes that are thrown somewhere in `src/`. */
async function findThrownCodes(): Promise<string[]> {
  const names = (await readdir('src', { recursive: true })).filter((name) => name.endsWith('.ts'));
  const sources = names.filter((name) => !/(?:^|\/)(?:[\w-]*paths|openapi-\w+)\.ts$|core\/errors\.ts$/.test(name));
  const text = (await Promise.all(sources.map((name) => readFile(join('src', name), 'utf8')))).join('\n');
  return Object.keys(ERRORS)
    .filter((code) => code === 'internal' || text.includes(`'${code}'`))
    .sort();
}

test('the description and the table of failures list the same, with the same bodies', async () => {
  const document = await readOpenapi();
  const listed = [...document['x-failures-outside-operations'], ...document['x-failures-of-relaying']];
  for (const code of listed) {
    const { status, msg } = ERRORS[code as ErrorCode];
    assert.ok(document.info.description.includes(`- ${status} \`${code}\`: ${msg}`), code);
  }
  const documented = new Set(listed);
  for (const { operationId, path, responses } of listOperations(document).values()) {
    const shape = path.startsWith('/oauth/') ? 'oauth' : 'seeds';
    for (const [status, response] of Object.entries(responses)) {
      for (const code of listCodes(response)) {
        const where = `${operationId} ${status} ${code}`;
        assert.ok(Object.hasOwn(ERRORS, code), where);
        const example = toFailureExample(shape, code as ErrorCode);
        assert.equal(String(example.status), status, where);
        assert.deepEqual(response.content?.['application/json']?.examples?.[code]?.value, example.body, where);
        assert.ok(response.description.includes(`\`${code}\`: ${ERRORS[code as ErrorCode].msg}`), where);
        documented.add(code);
      }
    }
  }
  assert.deepEqual([...documented].sort(), await findThrownCodes());
});
