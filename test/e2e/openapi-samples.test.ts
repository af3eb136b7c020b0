import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { test, type TestContext } from 'node:test';

import { startChild, waitUntilReady } from '../support/child.ts';
import { listOperations, type Operation, readOpenapi } from '../support/openapi.ts';
import { type CountersignProcess, createTempFolder, getFreePort, startCountersign } from '../support/processes.ts';

const ADMIN_TOKEN = 'the-admin-token-of-the-samples-000';

/** What others need comes first, what takes it away last. */
const ORDER: Readonly<Record<string, number>> = {
  createApp: -2,
  registerIdentity: -1,
  createConnector: -1,
  createCaller: -1,
  certifyConnector: -1,
  eraseIdentity: 1,
  deleteCaller: 1,
  deleteConnector: 1,
  deleteApp: 2,
};

type Variables = Readonly<Record<string, string>>;

/** Runs a sample as a person would paste it; curl itself tells the status behind the body. */
async function runSample({ operationId, 'x-codeSamples': samples }: Operation, env: Variables, cwd: string) {
  const script = `set -u -o pipefail\ncurl() { command curl -w '\\n%{http_code}' "$@"; }\n${samples[0]?.source ?? ''}\n`;
  const child = await startChild({ command: 'bash', args: ['-c', script], cwd, env });
  const { code } = await child.exited;
  assert.equal(code, 0, `${operationId}: ${child.stderr()}`);
  const [, body = '', status = ''] = /^([^]*)\n(\d{3})$/.exec(child.stdout()) ?? [];
  return { status: Number(status), body };
}

/** A service that takes what it is sent. @returns its URL */
async function startService(t: TestContext): Promise<string> {
  const server = createServer((_req, res) => res.writeHead(201).end('{"id":7}')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A gateway on the store of that process; its URL is that of its port for callers. */
async function startGateway({ dataDir, keysDir }: CountersignProcess, cwd: string, serviceUrl: string) {
  const port = await getFreePort();
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild({
    command: process.execPath,
    args: [resolve('dist', 'main.js'), 'gateway'],
    cwd,
    env: {
      COUNTERSIGN_DATA_DIR: dataDir,
      COUNTERSIGN_KEYS_DIR: keysDir,
      COUNTERSIGN_GATEWAY_CALLER_PORT: String(port),
      COUNTERSIGN_GATEWAY_AGENT_PORT: String(await getFreePort()),
      COUNTERSIGN_SERVICE_HOSTS: serviceUrl,
      COUNTERSIGN_LOG_LEVEL: 'silent',
    },
  });
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await waitUntilReady(child, isReady, 30_000);
  return { url, stop: () => child.stop() };
}

function toMember(body: string, name: string): string {
  const value = (JSON.parse(body) as Record<string, unknown>)[name];
  assert.ok(typeof value === 'string', body);
  return value;
}

test('every sample of openapi.yaml works as it is pasted', async (t) => {
  const operations = listOperations(await readOpenapi());
  // Samples write files.
  const folder = await createTempFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const countersign = await startCountersign(['start'], {
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    COUNTERSIGN_LOG_LEVEL: 'silent',
  });
  t.after(() => countersign.stop());
  const serviceUrl = await startService(t);
  const gateway = await startGateway(countersign, folder, serviceUrl);
  t.after(() => gateway.stop());
  const fixed = {
    ISSUER: countersign.issuerUrl,
    IDPROXY: countersign.idproxyUrl,
    GATEWAY: gateway.url,
    SERVICE_URL: serviceUrl,
    ADMIN_TOKEN,
  };
  const run = async (id: string, env: Variables): Promise<string> => {
    const operation = operations.get(id);
    assert.ok(operation, id);
    const { status, body } = await runSample(operation, env, folder);
    const success = Number(Object.keys(operation.responses).find((one) => one.startsWith('2')));
    assert.equal(status, success, `${id}: ${body}`);
    return body;
  };
  // An assertion is used up by its exchange, a bearer by its revocation: each sample has its own.
  const mint = async (): Promise<string> => toMember(await run('mintAssertion', fixed), 'jwt');
  const signIn = async (): Promise<string> =>
    toMember(await run('authorize', { ...fixed, JWT: await mint() }), 'access_token');

  const readSessionId = async (): Promise<string> =>
    toMember(await run('introspectToken', { ...fixed, BEARER: await signIn() }), 'session_id');

  const ids = [...operations.keys()].sort((one, other) => (ORDER[one] ?? 0) - (ORDER[other] ?? 0));
  assert.equal(ids[0], 'createApp');
  let clientId = '';
  let appKid = '';
  let platformKid = '';
  let nextPlatformKid = '';
  let userId = '';
  let connectorId = '';
  let serial = '';
  let callerId = '';
  let callerToken = '';
  for (const id of ids) {
    await t.test(id, async () => {
      const source = operations.get(id)?.['x-codeSamples'][0]?.source ?? '';
      const env = {
        ...fixed,
        ...(source.includes('$JWT') && { JWT: await mint() }),
        ...(source.includes('$BEARER') && { BEARER: await signIn() }),
        ...(source.includes('$CLIENT_ID') && { CLIENT_ID: clientId }),
        ...(source.includes('$USER_ID') && { USER_ID: userId }),
        APP_KID: appKid,
        KID: id === 'deletePlatformKey' ? nextPlatformKid : platformKid,
        CONNECTOR_ID: connectorId,
        SERIAL: serial,
        CALLER_ID: callerId,
        CALLER_TOKEN: callerToken,
        ...(source.includes('$SESSION_ID') && { SESSION_ID: await readSessionId() }),
      };
      const body = await run(id, env);
      if (id === 'createApp') {
        clientId = toMember(body, 'clientId');
        appKid = (JSON.parse(body) as { keys: { kid: string }[] }).keys[0]?.kid ?? '';
      }
      if (id === 'listPlatformKeys') platformKid = (JSON.parse(body) as { keys: { kid: string }[] }).keys[0]?.kid ?? '';
      if (id === 'rotatePlatformKey') nextPlatformKid = toMember(body, 'kid');
      if (id === 'registerIdentity') userId = toMember(body, 'userId');
      if (id === 'createConnector') connectorId = toMember(body, 'id');
      if (id === 'certifyConnector') serial = toMember(body, 'serial');
      if (id === 'createCaller') {
        callerId = toMember(body, 'id');
        callerToken = toMember(body, 'token');
      }
      if (id === 'callService') assert.equal((JSON.parse(body) as { status: number }).status, 201);
      if (id === 'introspectToken') assert.match(body, /"active":true/);
    });
  }
});

test('no sample puts a credential into an argument of curl', async () => {
  for (const { operationId, 'x-codeSamples': samples } of listOperations(await readOpenapi()).values()) {
    const source = samples[0]?.source ?? '';
    const curl = source.slice(source.indexOf('curl '));
    assert.doesNotMatch(curl, /\$(?:JWT|BEARER|ADMIN_TOKEN|CALLER_TOKEN)\b/, operationId);
  }
});
