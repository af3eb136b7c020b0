import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  type Installation,
  readLog,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { connectRaw } from '../support/raw-client.ts';
import { createSteppedClock, type SteppedClock } from '../support/stepped-clock.ts';
import { startTestOrigin, type TestOrigin } from '../support/test-origin.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const VIRTUAL_HOST = 'clocks.virtual';
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;

let chain: ConnectorChain;
let origin: TestOrigin;
let gateway: GatewayProcess;
let connector: Connector;
let agent: Installation;
let token = '';
const clocks: { gateway: SteppedClock; agent: SteppedClock }[] = [];

before(async () => {
  [chain, origin] = await Promise.all([startConnectorChain(), startTestOrigin()]);
  const stepped = { gateway: await createSteppedClock(), agent: await createSteppedClock() };
  clocks.push(stepped);
  gateway = await chain.startGateway({ env: stepped.gateway.env });
  connector = await chain.addConnector();
  token = await chain.addCaller();
  const mapping = {
    virtualhost: VIRTUAL_HOST,
    virtualport: 80,
    internalhost: HOST,
    internalport: origin.port,
    protocol: 'http',
    allowedPaths: '/*',
  };
  agent = await chain.install(connector, {
    gatewayUrls: [gateway.agentUrl],
    mappings: [mapping],
    config: { cluster: { enabled: false } },
  });
  await agent.start({ env: stepped.agent.env });
});
after(async () => {
  await Promise.all([chain.stop(), origin.stop()]);
  for (const { gateway: one, agent: other } of clocks) await Promise.all([one.remove(), other.remove()]);
});

async function ask(): Promise<string> {
  const client = await connectRaw(gateway.callerPort);
  client.send(
    `GET http://${VIRTUAL_HOST}/show HTTP/1.1\r\nHost: ${VIRTUAL_HOST}\r\nProxy-Authorization: Bearer ${token}\r\n` +
      'Connection: close\r\n\r\n',
  );
  return client.waitForEnd();
}

async function verifyAudit(): Promise<string> {
  const { stdout } = await run(process.execPath, [join(agent.folder, 'lib', 'kore-connector.js'), 'audit', 'verify'], {
    cwd: agent.folder,
  });
  return stdout;
}

const STEPS: Readonly<Record<string, { readonly gateway: number; readonly agent: number }>> = {
  'the gateway an hour ahead': { gateway: HOUR_SECONDS, agent: 0 },
  'the gateway an hour behind': { gateway: -HOUR_SECONDS, agent: 0 },
  'the agent an hour ahead': { gateway: 0, agent: HOUR_SECONDS },
  'the agent an hour behind': { gateway: 0, agent: -HOUR_SECONDS },
  'the agent two days ahead': { gateway: 0, agent: 2 * DAY_SECONDS },
  'both apart, and back': { gateway: HOUR_SECONDS, agent: -HOUR_SECONDS },
};

describe('a clock that is set while a connector is connected', () => {
  for (const [name, { gateway: ahead, agent: off }] of Object.entries(STEPS)) {
    it(`changes nothing: ${name}`, async () => {
      const [{ gateway: gatewayClock, agent: agentClock }] = clocks as [{ gateway: SteppedClock; agent: SteppedClock }];
      await Promise.all([gatewayClock.set(ahead), agentClock.set(off)]);
      const logged = gateway.stdout().length;
      for (let count = 0; count < 5; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
      await waitUntil('the log of the gateway tells the time of the gateway', () => {
        const line = gateway
          .stdout()
          .slice(logged)
          .split('\n')
          .find((text) => text.endsWith('}') && text.includes('"relayed"'));
        const { time = '' } = JSON.parse(line ?? '{}') as { time?: string };
        return Math.abs(Date.parse(time) / 1_000 - Date.now() / 1_000 - ahead) < 60;
      });
      await waitUntil('the audit log tells the time of the agent', async () => {
        const line = JSON.parse((await readLastAuditLine()) || '{}') as { at?: string };
        return Math.abs(Date.parse(line.at ?? '') / 1_000 - Date.now() / 1_000 - off) < 60;
      });
      await Promise.all([gatewayClock.set(0), agentClock.set(0)]);
      assert.match(await ask(), /^HTTP\/1\.1 200 /);
      assert.match(await verifyAudit(), /whole|intact|ok/i);
    });
  }

  it('has not cost the connection', async () => {
    const connected = (await readLog(agent.folder)).match(/"connected to the gateway"/g);
    assert.equal(connected?.length, 1);
  });
});

async function readLastAuditLine(): Promise<string> {
  const folder = join(agent.folder, 'audits');
  const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')));
  const lines = texts.flatMap((text) => text.trim().split('\n')).filter((line) => line.includes('"n":'));
  const toSeq = (line: string): number => (JSON.parse(line) as { n: number }).n;
  return lines.sort((one, other) => toSeq(one) - toSeq(other)).at(-1) ?? '';
}
