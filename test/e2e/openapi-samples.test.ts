import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';

import { startChild } from '../support/child.ts';
import { listOperations, type Operation, readOpenapi } from '../support/openapi.ts';
import { startCountersign } from '../support/processes.ts';

const ADMIN_TOKEN = 'the-admin-token-of-the-samples';

/** What others need comes first, what takes it away last. */
const ORDER: Readonly<Record<string, number>> = { createApp: -2, registerIdentity: -1, eraseIdentity: 1, deleteApp: 2 };

type Variables = Readonly<Record<string, string>>;

/** Runs a sample as a person would paste it; curl itself tells the status behind the body. */
async function runSample({ operationId, 'x-codeSamples': samples }: Operation, env: Variables) {
  const script = `set -u -o pipefail\ncurl() { command curl -w '\\n%{http_code}' "$@"; }\n${samples[0]?.source ?? ''}\n`;
  const child = await startChild({ command: 'bash', args: ['-c', script], cwd: tmpdir(), env });
  const { code } = await child.exited;
  assert.equal(code, 0, `${operationId}: ${child.stderr()}`);
  const [, body = '', status = ''] = /^([^]*)\n(\d{3})$/.exec(child.stdout()) ?? [];
  return { status: Number(status), body };
}

function toMember(body: string, name: string): string {
  const value = (JSON.parse(body) as Record<string, unknown>)[name];
  assert.ok(typeof value === 'string', body);
  return value;
}

test('every sample of openapi.yaml works as it is pasted', async (t) => {
  const operations = listOperations(await readOpenapi());
  const countersign = await startCountersign(['start'], {
    COUNTERSIGN_ADMIN_TOKEN: ADMIN_TOKEN,
    COUNTERSIGN_LOG_LEVEL: 'silent',
  });
  t.after(() => countersign.stop());
  const fixed = { ISSUER: countersign.issuerUrl, IDPROXY: countersign.idproxyUrl, ADMIN_TOKEN };
  const run = async (id: string, env: Variables): Promise<string> => {
    const operation = operations.get(id);
    assert.ok(operation, id);
    const { status, body } = await runSample(operation, env);
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
  let userId = '';
  for (const id of ids) {
    await t.test(id, async () => {
      const source = operations.get(id)?.['x-codeSamples'][0]?.source ?? '';
      const env = {
        ...fixed,
        ...(source.includes('$JWT') && { JWT: await mint() }),
        ...(source.includes('$BEARER') && { BEARER: await signIn() }),
        ...(source.includes('$CLIENT_ID') && { CLIENT_ID: clientId }),
        ...(source.includes('$USER_ID') && { USER_ID: userId }),
        ...(source.includes('$SESSION_ID') && { SESSION_ID: await readSessionId() }),
      };
      const body = await run(id, env);
      if (id === 'createApp') clientId = toMember(body, 'clientId');
      if (id === 'registerIdentity') userId = toMember(body, 'userId');
      if (id === 'introspectToken') assert.match(body, /"active":true/);
    });
  }
});

test('no sample puts a credential into an argument of curl', async () => {
  for (const { operationId, 'x-codeSamples': samples } of listOperations(await readOpenapi()).values()) {
    const source = samples[0]?.source ?? '';
    const curl = source.slice(source.indexOf('curl '));
    assert.doesNotMatch(curl, /\$(?:JWT|BEARER|ADMIN_TOKEN)\b/, operationId);
  }
});
