import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import type { AgentConfig } from '../../../../src/connector/config/agent-config.ts';
import { describeChanges } from '../../../../src/connector/config/describe-changes.ts';
import { loadAgentConfig } from '../../../../src/connector/config/load-agent-config.ts';
import { checkConnector } from '../../../../src/cli/connector-check.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { CONNECTOR_ID, createInstallations } from './installation.ts';

const OPTIONS = { clock: systemClock };
let installations: ReturnType<typeof createInstallations>;
let config: AgentConfig;
before(() => {
  installations = createInstallations();
  config = loadAgentConfig(installations.create().folder, OPTIONS);
});
after(() => installations.remove());

const RESTART = 'takes effect at the next start';
const cases: Record<
  string,
  [change: (from: AgentConfig) => Partial<AgentConfig>, applied: string[], atRestart: string[]]
> = {
  nothing: [() => ({}), [], []],
  'a level': [
    ({ logs }) => ({ logs: { ...logs, app: { ...logs.app, level: 'debug' } } }),
    ['logger.applogs.level is changed from "info" to "debug"'],
    [],
  ],
  workers: [
    () => ({ cluster: { enabled: true, workers: 4 } }),
    [],
    [`cluster is changed from {"enabled":true,"workers":2} to {"enabled":true,"workers":4}; ${RESTART}`],
  ],
  'a port of webhooks': [
    () => ({ webhooks: { port: 9000, routes: [{ path: '/a', target: 'https://x/' }] } }),
    ['webhooks.routes is changed from nothing to [{"path":"/a","target":"https://x/"}]'],
    [`webhooks.port is changed from nothing to 9000; ${RESTART}`],
  ],
  'a key': [
    ({ credentials }) => ({ credentials: { ...credentials, key: new Secret('other') } }),
    ['credentials.key is changed'],
    [],
  ],
  'a password': [
    () => ({ proxy: { host: 'p', port: 1, noProxy: [], password: new Secret('pw') } }),
    ['tunnel is changed from nothing to {"host":"p","port":1,"noProxy":[],"password":"[secret]"}'],
    [],
  ],
  gateways: [
    () => ({ gatewayUrls: ['https://b.example'] }),
    ['gateway.urls is changed from ["https://gateway.example:8443"] to ["https://b.example"]'],
    [],
  ],
  'an application of another host': [
    ({ mappings }) => ({ mappings: mappings.map((one) => ({ ...one, internalHost: 'b', upgrade: true })) }),
    [
      'application crm.virtual:8080: internalHost is changed from "10.1.2.3" to "b", upgrade is changed from false to true',
    ],
    [],
  ],
  'a client certificate': [
    ({ mappings }) => ({ mappings: mappings.map((one) => ({ ...one, tls: { key: new Secret('k'), cert: 'PEM' } })) }),
    ['application crm.virtual:8080: tls is changed from nothing to {"key":"[secret]","cert":"[pem]"}'],
    [],
  ],
  'an application that goes': [() => ({ mappings: [] }), ['application crm.virtual:8080 is removed'], []],
};

describe('describeChanges', () => {
  for (const [name, [change, applied, atRestart]] of Object.entries(cases)) {
    it(name, () => {
      const found = describeChanges(config, { ...config, ...change(config) });
      assert.deepEqual(found, { applied, atRestart, auditLines: [...applied, ...atRestart] });
    });
  }

  it('tells a changed secret by nothing but that it changed', () => {
    const to = (password: string): AgentConfig => ({
      ...config,
      proxy: { host: 'p', port: 1, noProxy: [], password: new Secret(password) },
    });
    assert.deepEqual(describeChanges(to('one'), to('two')).applied, ['tunnel is changed']);
    assert.deepEqual(describeChanges(to('one'), to('one')).applied, []);
  });

  it('shows an application that comes, without its keys', () => {
    const [added] = describeChanges({ ...config, mappings: [] }, config).applied;
    assert.match(added ?? '', /^application crm\.virtual:8080 is added: \{"name":"crm\.virtual",.*"10\.1\.2\.3"/);
  });
});

describe('checkConnector', () => {
  it('says in one line what the agent would do', () => {
    const until = new Date(config.credentials.expiresAt * 1000).toISOString().slice(0, 10);
    const { faults, summary } = checkConnector(installations.create().folder, OPTIONS);
    assert.deepEqual(faults, []);
    assert.deepEqual(summary, [
      `OK: 1 application, certificate of connector ${CONNECTOR_ID} valid until ${until}, gateway https://gateway.example:8443`,
    ]);
  });

  it('warns where nothing can be reached', () => {
    const installation = installations.create();
    installation.write('config/configs/accesscontrol.json', '[]');
    const { summary } = checkConnector(installation.folder, OPTIONS);
    assert.match(summary[0] ?? '', /^OK: 0 applications, /);
    assert.deepEqual(summary.slice(1), ['warning: no application can be reached until one is in accesscontrol.json']);
  });

  it('lists the faults and changes nothing', () => {
    const installation = installations.create();
    installation.write('config/connectorconfig.json', '{"x":1,"y":2}');
    const { faults, summary } = checkConnector(installation.folder, OPTIONS);
    assert.equal(faults.length, 2);
    assert.deepEqual(summary, faults);
    assert.equal(readFileSync(installation.path('config/connectorconfig.json'), 'utf8'), '{"x":1,"y":2}');
  });
});
