import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { AgentConfigError } from '../../../../src/connector/config/agent-config.ts';
import { loadAgentConfig } from '../../../../src/connector/config/load-agent-config.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { createInstallations, type Installation } from './installation.ts';

const KEY = 'credentials/Kore.aiConnector.key';
const CERT = 'credentials/Kore.aiConnectorCert.pem';
const NEXT = `${CERT}.next`;

let installations: ReturnType<typeof createInstallations>;
before(() => (installations = createInstallations()));
after(() => installations.remove());

const read = (installation: Installation, name: string): string => readFileSync(installation.path(name), 'utf8');
const load = ({ folder }: Installation) => loadAgentConfig(folder, { clock: systemClock }).credentials;
const isMismatch = (error: unknown): boolean =>
  error instanceof AgentConfigError && error.faults.some((fault) => fault.includes('made for another key'));

describe('credentials of a renewal that was cut off', () => {
  it('are the new certificate where the key is the new one', () => {
    const installation = installations.create();
    const [cert, other] = [read(installation, CERT), read(installation, 'credentials/client.pem')];
    installation.write(CERT, other);
    assert.throws(() => load(installation), isMismatch);
    installation.write(NEXT, cert);
    assert.equal(load(installation).cert, cert);
    installation.write(NEXT, 'no certificate');
    assert.throws(() => load(installation), isMismatch);
  });

  it('are the former ones as long as they fit', () => {
    const installation = installations.create();
    installation.write(NEXT, read(installation, 'credentials/client.pem'));
    installation.write(`${KEY}.next`, read(installation, 'credentials/client.key'));
    assert.equal(load(installation).cert, read(installation, CERT));
  });

  it('have the paths of their files, as they are configured', () => {
    const installation = installations.create();
    assert.deepEqual(load(installation).paths, { key: installation.path(KEY), cert: installation.path(CERT) });
    installation.write('mine/a.key', read(installation, KEY));
    const config = { credentials: { key: 'mine/a.key', cert: `./${CERT}` } };
    installation.write('config/connectorconfig.json', JSON.stringify(config));
    assert.deepEqual(load(installation).paths, { key: installation.path('mine/a.key'), cert: installation.path(CERT) });
  });
});

describe('the target of a webhook', () => {
  const targets: Record<string, boolean> = {
    alerts: true,
    'my.alerts-2_b': true,
    'https://hooks.example/in?x=1': true,
    'http://127.0.0.1:9/': true,
    '-alerts': false,
    'my alerts': false,
    'a/b': false,
    '': false,
    'ftp://hooks.example/': false,
    'https://u:p@hooks.example/': false,
    [`a${'b'.repeat(64)}`]: false,
  };
  for (const [target, isTaken] of Object.entries(targets)) {
    it(`is ${isTaken ? '' : 'not '}"${target}"`, () => {
      const installation = installations.create();
      const webhooks = { port: 9000, routes: [{ path: '/a', target }] };
      installation.write('config/connectorconfig.json', JSON.stringify({ webhooks }));
      if (isTaken) assert.equal(load(installation).connectorId.length > 0, true);
      else assert.throws(() => load(installation), /webhooks\.routes\.target/);
    });
  }
});
