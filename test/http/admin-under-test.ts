import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { systemClock } from '../../src/core/clock.ts';
import { createToken } from '../../src/core/ids.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { isHashOf, sha256Hex } from '../../src/core/secret.ts';
import { parseKeyList } from '../../src/http/key-list.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { startServer } from '../../src/http/server.ts';
import { createPlatform, type PlatformSettings } from '../../src/cli/create-platform.ts';
import { createEmbeddedStore } from '../../src/stores/embedded.ts';
import { createVault, type Vault } from '../../src/vault/vault.ts';
import { createTempFolder } from '../support/processes.ts';
import { createKeptLog, type LogLine } from '../unit/http/app-under-test.ts';

/** An answer of the admin API, its body parsed. */
export interface AdminAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: JsonObject;
}

/** An idproxy on an embedded store, and whoever has its admin token. */
export interface AdminUnderTest {
  readonly url: string;
  readonly port: number;
  readonly token: string;
  readonly folder: string;
  readonly vault: Vault;
  readonly lines: () => LogLine[];
  readonly send: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<AdminAnswer>;
  /** Registers an app and returns what it is told. @throws when it is refused */
  readonly create: (request?: object) => Promise<JsonObject & { readonly clientId: string }>;
}

export const MASTER_KEY = Buffer.alloc(32, 7);

/** Starts one; on the folder of another one, if it is given. */
export async function startAdmin(
  t: TestContext,
  {
    folder: given,
    masterKey = MASTER_KEY,
    ...settings
  }: Partial<PlatformSettings> & { folder?: string; masterKey?: Buffer } = {},
): Promise<AdminUnderTest> {
  const folder = given ?? (await createTempFolder());
  if (given === undefined) t.after(() => rm(folder, { recursive: true, force: true }));
  const { logger, lines } = createKeptLog();
  const vault = createVault(masterKey);
  const store = createEmbeddedStore({ path: join(folder, 'countersign.db'), clock: systemClock });
  const token = createToken(32);
  const hash = sha256Hex(token);
  const idproxy = createPlatform(
    {
      publicUrl: () => 'http://127.0.0.1',
      rateLimitPerMinute: 100_000,
      botTimeoutMs: 2_000,
      connectorsPerCompany: 2,
      gatewayUrls: ['https://gateway.example:8443'],
      cors: { origins: ['http://page.example'], allowLoopback: false, allowCredentials: false },
      ...settings,
    },
    {
      store,
      vault,
      clock: systemClock,
      logger,
      metrics: createMetrics(),
      metricsToken: undefined,
      trustProxy: false,
      isAdmin: (candidate) => isHashOf(candidate, hash),
      introspectionKeys: parseKeyList(''),
      contextKeys: parseKeyList(''),
      bot: undefined,
    },
  );
  const server = await startServer(idproxy.app, { host: '127.0.0.1', port: 0 });
  t.after(async () => {
    await server.close();
    await idproxy.close();
    await store.close();
  });

  const send: AdminUnderTest['send'] = async (method, path, body, headers = {}) => {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === '' ? {} : (JSON.parse(text) as JsonObject),
    };
  };
  const create: AdminUnderTest['create'] = async (request = { name: 'Web chat', algorithm: 'HS256' }) => {
    const { status, body, text } = await send('POST', '/admin/apps', request);
    if (status !== 201) throw new Error(text);
    return body as JsonObject & { readonly clientId: string };
  };
  return { url: server.url, port: server.port, token, folder, vault, lines, send, create };
}

/** That an answer is the seeds' error body with this status and a sentence like `msg`. */
export function assertRefused({ status, body, text }: AdminAnswer, expected: number, msg: RegExp): void {
  assert.equal(status, expected, text);
  const errors = body['errors'] as { msg: string; code: number }[];
  assert.deepEqual(errors, [{ msg: errors[0]?.msg, code: expected }]);
  assert.match(errors[0]?.msg ?? '', msg);
}

/** The default audiences. */
export const AUDIENCES = ['https://idproxy.kore.com/authorize', 'https://idproxy.kore.ai/authorize'];
