import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  type Installation,
  readLog,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { type CurlAnswer, runCurl } from '../support/curl.ts';
import { type NginxProcess, startNginx } from '../support/nginx.ts';
import { getFreePort } from '../support/processes.ts';
import { startTinyproxy, type TinyproxyProcess } from '../support/tinyproxy.ts';

const HOST = '127.0.0.1';
const BIG_BYTES = 100_000_000;
const SMALL_BYTES = 10_240;
/** The seed's sentences, byte for byte. */
const NOT_REACHABLE = '“CRM” is not reachable. Unable to communicate with the connector. Please try again.';
const SYSTEM_NOT_REACHABLE = 'The server returned an error. Try again later. (404 – System not reachable).';

let chain: ConnectorChain;
let nginx: NginxProcess;
let gateway: GatewayProcess;
let tinyproxy: TinyproxyProcess;
let connector: Connector;
let agent: Installation;
let token = '';
let closedPort = 0;
let bigHash = '';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Runs `koreconnector.sh` as `rc.local` does: in a session without a terminal, with an environment of PATH alone. */
async function koreconnector(word: string): Promise<{ code: number; output: string }> {
  const path = `PATH=${join(process.execPath, '..')}:/sbin:/bin:/usr/sbin:/usr/bin`;
  const args = ['-i', path, 'setsid', '--wait', '/bin/sh', '-c', `cd ${agent.folder} ; ./koreconnector.sh ${word}`];
  return new Promise((resolve) => {
    execFile('env', args, { cwd: '/' }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr }),
    );
  });
}

const forward = (...args: readonly string[]): Promise<CurlAnswer> =>
  runCurl('-x', `http://${token}@${HOST}:${gateway.callerPort}`, ...args);

const getStatus = async (): Promise<Record<string, unknown>> => chain.admin('GET', `/connectors/${connector.id}`);

/** On the embedded store a gateway hears of changes of another process four times a second. */
const waitForAnswer = (status: number): Promise<void> =>
  waitUntil(`status ${status}`, async () => (await forward('http://crm.virtual:8080/')).status === status, 2_000);

function assertError(answer: CurlAnswer, status: number, msg: string, code: string): void {
  const { body, headers } = answer;
  assert.equal(answer.status, status, body);
  assert.deepEqual(JSON.parse(body), { errors: [{ msg, code: status }] });
  assert.equal(headers.get('x-connector-error'), code);
}

before(async () => {
  closedPort = await getFreePort();
  const agentPort = await getFreePort();
  [chain, nginx, tinyproxy] = await Promise.all([startConnectorChain(), startNginx(), startTinyproxy(agentPort)]);
  const big = randomBytes(BIG_BYTES);
  bigHash = sha256(big);
  await writeFile(join(nginx.root, 'big'), big);
  await writeFile(join(nginx.root, 'small'), randomBytes(SMALL_BYTES));
  await mkdir(join(nginx.root, 'orders'));
  await writeFile(join(nginx.root, 'orders', '7'), 'order 7\n');
  await mkdir(join(nginx.root, 'secret'));
  await writeFile(join(nginx.root, 'secret', 'plans'), 'nobody may see this\n');
  gateway = await chain.startGateway({ agentPort });
  token = await chain.addCaller();
  connector = await chain.addConnector({ isEnabled: false });
  const crm = { virtualhost: 'crm.virtual', internalhost: HOST, protocol: 'HTTP', name: 'CRM' };
  agent = await chain.install(connector, {
    gatewayUrls: [gateway.agentUrl],
    config: {
      tunnel: {
        proxyHost: HOST,
        proxyPort: String(tinyproxy.port),
        user: tinyproxy.user,
        passwordFile: 'credentials/proxy-password',
      },
    },
    mappings: [
      { ...crm, virtualport: 8080, internalport: nginx.port, allowedPaths: '/*' },
      { ...crm, virtualport: 8081, internalport: nginx.port, allowedPaths: ['/orders/*', '/small'] },
      { ...crm, virtualport: 8082, internalport: closedPort, allowedPaths: '/*' },
    ],
  });
  await writeFile(join(agent.folder, 'credentials', 'proxy-password'), `${tinyproxy.password}\n`, { mode: 0o600 });
});

after(async () => {
  await koreconnector('stop');
  await Promise.all([chain.stop(), nginx.stop(), tinyproxy.stop()]);
});

describe('a company and its connector', () => {
  it('is DISCONNECTED before the agent has started', async () => {
    const { status, enabled, lastConnectedAt, instances } = await getStatus();
    assert.deepEqual([status, enabled, lastConnectedAt ?? null, instances], ['DISCONNECTED', false, null, []]);
    const answer = await forward('http://crm.virtual:8080/');
    assertError(answer, 503, SYSTEM_NOT_REACHABLE, 'connector_unavailable');
    assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/);
  });

  it('starts by its script, with neither HOME nor a terminal, through a proxy that wants a password', async () => {
    const started = await koreconnector('start');
    assert.equal(started.code, 0, started.output);
    assert.match(started.output, /^kore-connector started \(pid \d+\)\n$/);
    // Two workers, as the seed's default has it.
    await chain.waitForInstances(connector.id, 2);
    const status = await koreconnector('status');
    assert.equal(status.code, 0, status.output);
    assert.match(status.output, /kore-connector is running/);
    const tunnels = tinyproxy.log().match(new RegExp(`CONNECT localhost:${gateway.agentPort} `, 'g'));
    assert.ok((tunnels?.length ?? 0) >= 2, tinyproxy.log());
    assert.ok(!(await readLog(agent.folder)).includes(tinyproxy.password));
  });

  it('is CONNECTED before it is enabled, and gets no requests until then', async () => {
    const { status, enabled, lastConnectedAt } = await getStatus();
    assert.deepEqual([status, enabled, typeof lastConnectedAt], ['CONNECTED', false, 'string']);
    const asked = await nginx.log();
    assertError(await forward('http://crm.virtual:8080/'), 503, SYSTEM_NOT_REACHABLE, 'connector_unavailable');
    assert.equal(await nginx.log(), asked);
  });

  it('serves as soon as it is enabled', async () => {
    await chain.admin('POST', `/connectors/${connector.id}/enable`);
    await waitForAnswer(200);
    const { status, body, headers } = await forward('http://crm.virtual:8080/');
    assert.deepEqual([status, body], [200, '<p>the application</p>\n']);
    assert.equal(headers.get('x-connector-error'), undefined);
    assert.match(await nginx.log(), new RegExp(`^GET / "-" ${HOST}:${nginx.port}$`, 'm'));
  });

  const ANSWERS: Readonly<Record<string, readonly [url: string, status: number, msg?: string, code?: string]>> = {
    'a file': ['http://crm.virtual:8080/orders/7', 200],
    'a host in capitals': ['http://CRM.Virtual:8080/orders/7?a=1&b=%20', 200],
    'what the application does not have': ['http://crm.virtual:8080/nothing', 404],
    'an unknown host': [
      'http://erp.virtual:8080/',
      403,
      NOT_REACHABLE.replace('CRM', 'erp.virtual'),
      'application_unknown',
    ],
    'an unknown port': ['http://crm.virtual/', 403, NOT_REACHABLE.replace('CRM', 'crm.virtual'), 'application_unknown'],
    'a path of the list': ['http://crm.virtual:8081/orders/7', 200],
    'a path that is not on the list': [
      'http://crm.virtual:8081/secret/plans',
      403,
      'the access control of the connector does not allow this',
      'path_forbidden',
    ],
    'an application that is not there': ['http://crm.virtual:8082/', 502, NOT_REACHABLE, 'application_unreachable'],
  };
  for (const [name, [url, status, msg, code]] of Object.entries(ANSWERS)) {
    it(`answers ${status} for ${name}`, async () => {
      const answer = await forward(url);
      if (msg !== undefined && code !== undefined) assertError(answer, status, msg, code);
      else assert.deepEqual([answer.status, answer.headers.get('x-connector-error')], [status, undefined]);
    });
  }

  it('refuses a path that would climb out of the list', async () => {
    const answer = await forward('--path-as-is', 'http://crm.virtual:8081/orders/../secret/plans');
    assert.equal(answer.status, 400, answer.body);
    assert.doesNotMatch(await nginx.log(), /secret/);
  });

  it('serves 10 KB and 100 MB down and up, byte for byte', async () => {
    const small = join(agent.folder, 'small.copy');
    const copy = join(agent.folder, 'big.copy');
    assert.equal((await forward('-o', small, 'http://crm.virtual:8081/small')).status, 200);
    assert.deepEqual(await readFile(small), await readFile(join(nginx.root, 'small')));
    assert.equal((await forward('-o', copy, 'http://crm.virtual:8080/big')).status, 200);
    assert.equal((await stat(copy)).size, BIG_BYTES);
    assert.equal(sha256(await readFile(copy)), bigHash);
    const sent = await forward('-T', copy, 'http://crm.virtual:8080/uploads/big');
    assert.equal(sent.status, 201, sent.body);
    assert.equal(sha256(await readFile(join(nginx.root, 'uploads', 'big'))), bigHash);
  });

  it("leaves the user's own Authorization to the application, on both faces", async () => {
    const users = ['-H', 'Authorization: Bearer the-users-own'];
    const reverse = `${gateway.callerUrl}/${connector.id}/crm.virtual/8080/private`;
    const answers = [
      await runCurl(...users, '-H', `X-Connector-Authorization: Bearer ${token}`, reverse),
      await forward(...users, 'http://crm.virtual:8080/private'),
    ];
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      [
        [200, 'welcome'],
        [200, 'welcome'],
      ],
    );
    assert.equal((await forward('http://crm.virtual:8080/private')).status, 401);
    assert.ok(!(await nginx.log()).includes(token));
  });

  const CALLERS: Readonly<Record<string, readonly [args: () => readonly string[], status: number]>> = {
    'no token': [() => ['-x', `http://${HOST}:${gateway.callerPort}`, 'http://crm.virtual:8080/'], 407],
    'a wrong token': [() => ['-x', `http://wrong@${HOST}:${gateway.callerPort}`, 'http://crm.virtual:8080/'], 407],
    'no token on the reverse route': [() => [`${gateway.callerUrl}/${connector.id}/crm.virtual/8080/`], 401],
    'a token in the field of the application': [
      () => ['-H', `Authorization: Bearer ${token}`, `${gateway.callerUrl}/${connector.id}/crm.virtual/8080/`],
      401,
    ],
    'a CONNECT': [() => ['-x', `http://${token}@${HOST}:${gateway.callerPort}`, '-p', 'http://crm.virtual:8080/'], 0],
  };
  for (const [name, [toArgs, status]] of Object.entries(CALLERS)) {
    it(`refuses ${name}`, async () => {
      const asked = await nginx.log();
      const answer = await runCurl(...toArgs());
      if (status === 0) assert.match(answer.statusLines.join('\n'), /^HTTP\/1\.1 405 /);
      else assert.equal(answer.status, status);
      if (status === 407) assert.match(answer.headers.get('proxy-authenticate') ?? '', /^Basic realm=/);
      assert.equal(await nginx.log(), asked);
    });
  }

  it('gets no more requests once it is disabled, and gets them again', async () => {
    await chain.admin('POST', `/connectors/${connector.id}/disable`);
    await waitForAnswer(503);
    const asked = await nginx.log();
    assertError(await forward('http://crm.virtual:8080/'), 503, SYSTEM_NOT_REACHABLE, 'connector_unavailable');
    assert.equal(await nginx.log(), asked);
    assert.equal((await getStatus())['status'], 'CONNECTED');
    await chain.admin('POST', `/connectors/${connector.id}/enable`);
    await waitForAnswer(200);
  });

  it('has every request in a log that nobody changed', async () => {
    const audit = await readLog(agent.folder, 'audits');
    for (const path of ['/orders/7', '/big', '/uploads/big', '/private']) assert.ok(audit.includes(path), path);
    for (const secret of [token, 'the-users-own']) assert.ok(!audit.includes(secret));
    const verified = await koreconnector('audit verify');
    assert.equal(verified.code, 0, verified.output);
  });

  it('is cut off when it is deleted', async () => {
    await chain.admin('DELETE', `/connectors/${connector.id}`);
    const isLost = async (): Promise<boolean> => /unauthorized/.test(await readLog(agent.folder));
    await waitUntil('the agent is told that it is unauthorized', isLost);
    assertError(await forward('http://crm.virtual:8080/'), 503, SYSTEM_NOT_REACHABLE, 'connector_unavailable');
  });

  it('stops by its script', async () => {
    const stopped = await koreconnector('stop');
    assert.deepEqual([stopped.code, stopped.output], [0, 'kore-connector stopped\n']);
    assert.equal((await koreconnector('status')).code, 3);
  });
});
