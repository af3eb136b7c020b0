import type { TestContext } from 'node:test';

import { guardAdmin } from '../../src/apps/routes.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { createGatewayAdmin, type GatewayAdmin } from '../../src/gateway/create-gateway-admin.ts';
import type { PackageRequest } from '../../src/gateway/packages/build-package.ts';
import { createApp } from '../../src/http/create-app.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { startServer } from '../../src/http/server.ts';
import type { Store } from '../../src/stores/ports.ts';
import { waitUntilReady } from '../../src/stores/wait-until-ready.ts';
import { createVault } from '../../src/vault/vault.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { ADMIN_TOKEN, BACKENDS } from '../support/idproxy-under-test.ts';
import { createKeptLog, type LogLine } from '../unit/http/app-under-test.ts';

/** An answer of the admin API, its body parsed. */
export interface GatewayAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read members of many shapes
  readonly body: any;
}

/** The gateway's part of the admin API over HTTP, on a real store. */
export interface GatewayAdminUnderTest {
  readonly url: string;
  readonly store: Store;
  readonly admin: GatewayAdmin;
  readonly lines: () => LogLine[];
  /** What packages were ordered. */
  readonly orders: readonly PackageRequest[];
  readonly send: (
    method: string,
    path: string,
    body?: JsonObject,
    headers?: Record<string, string>,
  ) => Promise<GatewayAnswer>;
  /** Adds a connector. @returns its id */
  readonly create: (request?: JsonObject) => Promise<string>;
}

export async function startGatewayAdmin(
  t: TestContext,
  { backend = 'embedded' }: { readonly backend?: keyof typeof BACKENDS } = {},
): Promise<GatewayAdminUnderTest> {
  const { store, end } = await BACKENDS[backend](createFakeClock(0));
  await waitUntilReady(store, 5_000);
  const { logger, lines } = createKeptLog();
  const orders: PackageRequest[] = [];
  const admin = createGatewayAdmin(
    { connectorsPerCompany: 2, gatewayUrls: ['https://gateway.example:8443'] },
    {
      store,
      vault: createVault(Buffer.alloc(32, 7)),
      clock: systemClock,
      logger,
      buildPackage: async (order) => {
        orders.push(order);
        return { fileName: 'agent-1.0.0.tar.gz', contentType: 'application/gzip', bytes: Buffer.from([0, 255, 1]) };
      },
    },
  );
  const deps = { name: 'idproxy', checks: {}, logger, metrics: createMetrics(), metricsToken: undefined } as const;
  const app = createApp({ ...deps, trustProxy: false }, (server) => {
    server.use('/admin', ...guardAdmin({ isAdmin: (token) => token === ADMIN_TOKEN, rateLimitPerMinute: 100_000 }));
    server.use(...admin.routes);
  });
  const server = await startServer(app, { host: '127.0.0.1', port: 0 });
  t.after(async () => {
    await server.close();
    await store.close();
    await end();
  });
  const send: GatewayAdminUnderTest['send'] = async (method, path, body, headers = {}) => {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_TOKEN}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  };
  return {
    url: server.url,
    store,
    admin,
    lines,
    orders,
    send,
    create: async (request = {}) => {
      const { status, text, body } = await send('POST', '/admin/connectors', request);
      if (status !== 201) throw new Error(text);
      return body.id as string;
    },
  };
}
