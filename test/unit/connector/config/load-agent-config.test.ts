import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';

import * as fc from 'fast-check';

import { type AgentConfig, AgentConfigError, toAccessRule } from '../../../../src/connector/config/agent-config.ts';
import { MAX_CONFIG_BYTES } from '../../../../src/connector/config/config-files.ts';
import { type AgentConfigOptions, loadAgentConfig } from '../../../../src/connector/config/load-agent-config.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { MAX_RULES } from '../../../../src/tunnel/table.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import {
  ACCESS,
  CONNECTOR_ID,
  createInstallations,
  type Installation,
  SEED_CONFIG,
  SEED_TUNNEL,
} from './installation.ts';

const MAIN = 'config/connectorconfig.json';
const ACCESS_FILE = 'config/configs/accesscontrol.json';
const PACKAGE = 'config/gateway.json';
const OPTIONS: AgentConfigOptions = { clock: systemClock };
const YEAR_SECONDS = 365 * 86_400;

let installations: ReturnType<typeof createInstallations>;
before(() => {
  installations = createInstallations();
});
after(() => installations.remove());

/** An installation with these files in place of the usual ones. */
function install(files: Readonly<Record<string, string | Buffer | undefined>> = {}): Installation {
  const installation = installations.create();
  for (const [name, content] of Object.entries(files)) installation.write(name, content);
  return installation;
}

/** The faults of an installation, none where it is taken. */
function findFaults({ folder }: Installation, options = OPTIONS): readonly string[] {
  try {
    loadAgentConfig(folder, options);
  } catch (error) {
    assert.ok(error instanceof AgentConfigError);
    for (const fault of error.faults) assert.ok(error.message.includes(fault));
    return error.faults;
  }
  return [];
}

const load = (files: Readonly<Record<string, string | undefined>> = {}, options = OPTIONS): AgentConfig =>
  loadAgentConfig(install(files).folder, options);

/** A mapping whose every member stands in a line of its own, the virtual host in line 3. */
function toAccess(changes: Readonly<Record<string, unknown>>, ...more: object[]): string {
  const mapping = {
    virtualhost: 'crm.virtual',
    internalhost: 'crm.corp',
    protocol: 'https',
    allowedPaths: '/*',
    ...changes,
  };
  return JSON.stringify([mapping, ...more], undefined, 2);
}
const toMain = (members: object): string => JSON.stringify(members, undefined, 2);

describe('loadAgentConfig', () => {
  it("takes the seed's default file unchanged, with the gateway of the package", () => {
    const installation = install();
    const config = loadAgentConfig(installation.folder, OPTIONS);
    const { credentials, ...rest } = config;
    assert.equal(credentials.connectorId, CONNECTOR_ID);
    assert.equal(credentials.ca, readFileSync(installation.path('credentials/ca.crt'), 'utf8'));
    assert.equal(credentials.cert, readFileSync(installation.path('credentials/Kore.aiConnectorCert.pem'), 'utf8'));
    assert.equal(credentials.key.reveal(), readFileSync(installation.path('credentials/Kore.aiConnector.key'), 'utf8'));
    assert.ok(Math.abs(credentials.expiresAt - systemClock.nowSeconds() - 10 * YEAR_SECONDS) < 86_400);
    assert.deepEqual(rest, {
      logs: {
        app: { path: installation.path('logs'), level: 'info', prefix: 'kore-connector.log' },
        audit: { path: installation.path('audits'), level: 'info', prefix: 'kore-connector-audit.log' },
      },
      cluster: { enabled: true, workers: 2 },
      gatewayUrls: ['https://gateway.example:8443'],
      mappings: [
        {
          name: 'crm.virtual',
          virtualHost: 'crm.virtual',
          virtualPort: 8080,
          internalHost: '10.1.2.3',
          internalPort: 8000,
          protocol: 'http',
          allowedPaths: '/*',
          upgrade: false,
          allowEncodedSlash: false,
        },
      ],
      warnings: [],
    });
  });

  it("takes an empty object for the seed's defaults", () => {
    const installation = install({ [MAIN]: '{}' });
    const config = loadAgentConfig(installation.folder, OPTIONS);
    installation.write(MAIN, SEED_CONFIG);
    assert.deepEqual(config, loadAgentConfig(installation.folder, OPTIONS));
  });

  it("says of the seed's sample with a proxy that it needs a port, and takes it with one", () => {
    const sample = `${SEED_CONFIG.slice(0, SEED_CONFIG.lastIndexOf('\n}'))},\n${SEED_TUNNEL}`;
    assert.deepEqual(findFaults(install({ [MAIN]: sample })), [
      `${MAIN}:23:19: "tunnel.proxyPort": must be a port from 1 to 65535; "portnumber" only stands for yours`,
    ]);
    const { proxy } = load({ [MAIN]: sample.replace('portnumber', '3128') });
    assert.deepEqual(proxy, { host: 'hostname', port: 3128, noProxy: [] });
  });

  it('takes everything that can be said', () => {
    const config = load({
      [MAIN]: toMain({
        credentials: { key: '.\\credentials\\Kore.aiConnector.key' },
        logger: {
          applogs: { path: '/var/log/connector', level: 'TRACE', prefix: 'app', maxSize: '100M', maxTotalSize: '1g' },
          auditlogs: { maxSize: 70_000, maxAgeDays: '90' },
        },
        cluster: { enabled: false, workers: '4' },
        tunnel: {
          proxyHost: 'Proxy.Corp',
          proxyPort: 8080,
          user: 'agent',
          passwordFile: 'credentials/password.txt',
          noProxy: ['*.corp', '.example', 'gateway.corp', '::1', '*'],
        },
        gateway: { urls: ['https://A.example:8443/', 'https://[::1]', 'https://b.example'] },
        webhooks: { port: 9000, routes: [{ path: '/alerts', target: 'https://hooks.example/in?x=1' }] },
      }),
      [ACCESS_FILE]: toAccess({
        name: 'CRM',
        virtualhost: 'CRM.Virtual.',
        internalhost: '[FD00::1]',
        protocol: 'HTTPS',
        allowedPaths: ['/api/*', '/status'],
        allowedMethods: ['get', 'POST'],
        upgrade: true,
        allowEncodedSlash: true,
        timeoutSeconds: 30,
        tls: {
          ca: 'credentials/ca.crt',
          serverName: 'crm.corp',
          key: 'credentials/client.key',
          cert: 'credentials/client.pem',
          chain: 'credentials/ca.crt',
          minVersion: 'tlsv1.3',
        },
      }),
    });
    assert.deepEqual(config.logs.app, {
      path: '/var/log/connector',
      level: 'trace',
      prefix: 'app',
      maxFileBytes: 104_857_600,
      maxTotalBytes: 1_073_741_824,
    });
    assert.equal(config.logs.audit.maxFileBytes, 70_000);
    assert.equal(config.logs.audit.maxAgeDays, 90);
    assert.deepEqual(config.cluster, { enabled: false, workers: 4 });
    assert.equal(config.proxy?.password?.reveal(), 'pr0xy-passw0rd');
    assert.deepEqual(config.proxy.noProxy, ['.corp', '.example', 'gateway.corp', '::1', '*']);
    assert.deepEqual(config.gatewayUrls, ['https://a.example:8443', 'https://[::1]', 'https://b.example']);
    assert.deepEqual(config.webhooks?.routes, [{ path: '/alerts', target: 'https://hooks.example/in?x=1' }]);
    const [mapping] = config.mappings;
    assert.ok(mapping?.tls);
    assert.equal(mapping.tls.cert?.match(/BEGIN CERTIFICATE/g)?.length, 2);
    assert.equal(mapping.tls.minVersion, 'TLSv1.3');
    assert.equal(mapping.internalHost, 'fd00::1');
    assert.equal(mapping.virtualPort, 443);
    assert.equal(mapping.internalPort, 443);
    assert.deepEqual(toAccessRule(mapping), {
      host: 'crm.virtual',
      port: 443,
      name: 'CRM',
      allowedPaths: ['/api/*', '/status'],
      allowedMethods: ['GET', 'POST'],
      upgrade: true,
      allowEncodedSlash: true,
    });
  });

  it('is frozen to the bottom, and prints no secret', () => {
    const config = load({
      [ACCESS_FILE]: toAccess({ tls: { key: 'credentials/client.key', cert: 'credentials/client.pem' } }),
    });
    assert.throws(() => (config.mappings as unknown[]).push({}), TypeError);
    assert.throws(() => Object.assign(config.mappings[0] ?? {}, { upgrade: true }), TypeError);
    assert.throws(() => Object.assign(config.credentials, { ca: '' }), TypeError);
    const shown = `${inspect(config, { depth: 9 })}${JSON.stringify(config)}`;
    assert.equal(shown.includes('PRIVATE KEY'), false);
  });

  it('reads nothing else of the folder of the access control', () => {
    const files = { 'config/configs/accesscontrol.json.2026-11-20T220000.000Z.bak': 'x', 'config/configs/b.json': 'x' };
    assert.deepEqual(findFaults(install(files)), []);
  });

  it('takes the gateway of the main file first, that of the environment next, that of the package last', () => {
    const gatewayUrls = ['https://env.example'];
    const own = toMain({ gateway: { urls: ['https://own.example'] } });
    assert.deepEqual(load({ [MAIN]: own }, { ...OPTIONS, gatewayUrls }).gatewayUrls, ['https://own.example']);
    assert.deepEqual(load({}, { ...OPTIONS, gatewayUrls }).gatewayUrls, gatewayUrls);
    assert.deepEqual(load({ [PACKAGE]: undefined }, { ...OPTIONS, gatewayUrls }).gatewayUrls, gatewayUrls);
  });

  it('reads the files beside a main file of another name', () => {
    const installation = install({ 'other/agent.json': '{}', 'other/configs/accesscontrol.json': '[]' });
    installation.write('other/gateway.json', '{"urls":["https://other.example"]}');
    const config = loadAgentConfig(installation.folder, { ...OPTIONS, configFile: 'other/agent.json' });
    assert.deepEqual(config.gatewayUrls, ['https://other.example']);
    assert.deepEqual(config.mappings, []);
  });

  it('warns of a certificate that ends soon, and of a key that others may read', () => {
    const installation = install();
    const end = loadAgentConfig(installation.folder, OPTIONS).credentials.expiresAt;
    const clock = createFakeClock(end - 13 * 86_400);
    chmodSync(installation.path('credentials/Kore.aiConnector.key'), 0o666);
    assert.deepEqual(loadAgentConfig(installation.folder, { clock }).warnings, [
      `${MAIN}:3:13: "credentials.key": other users of this machine may read the private key; chmod 600 ends that`,
      `${MAIN}:4:14: "credentials.cert": the certificate ends on ${new Date(end * 1000).toISOString().slice(0, 10)}`,
    ]);
  });

  it('never waits for a pipe', { skip: process.platform === 'win32' }, () => {
    const installation = install({ 'credentials/ca.crt': undefined });
    execFileSync('mkfifo', [installation.path('credentials/ca.crt')]);
    assert.deepEqual(findFaults(installation), [`${MAIN}:5:12: "credentials.ca": credentials/ca.crt is not a file`]);
  });

  it('lists every fault of every file, in the order of the text', () => {
    const installation = install({
      [MAIN]: '{\n "cluster": {"workers": 0, "worker": 1},\n "tunnel": {"proxyHost": "http://p"}\n}',
      [ACCESS_FILE]: '[\n {"virtualhost": "a", "protocol": "ftp"},\n 7,\n {"virtualhost": "a b"}\n]',
      'credentials/ca.crt': undefined,
    });
    assert.deepEqual(
      findFaults(installation).map((fault) => fault.replace(/^config\/(?:configs\/)?/, '').replace(/(?<="): .*/, '')),
      [
        'connectorconfig.json:1:1: "credentials.ca"',
        'connectorconfig.json:2:25: "cluster.workers"',
        'connectorconfig.json:2:28: "cluster.worker"',
        'connectorconfig.json:3:12: "tunnel.proxyPort"',
        'connectorconfig.json:3:26: "tunnel.proxyHost"',
        'accesscontrol.json:2:2: "internalhost"',
        'accesscontrol.json:2:2: "allowedPaths"',
        'accesscontrol.json:2:35: "protocol"',
        'accesscontrol.json:3:2: must be an object, {…}',
        'accesscontrol.json:4:2: "internalhost"',
        'accesscontrol.json:4:2: "protocol"',
        'accesscontrol.json:4:2: "allowedPaths"',
        'accesscontrol.json:4:18: "virtualhost"',
      ],
    );
  });

  it('whatever is done to the files, throws nothing but AgentConfigError', () => {
    const installation = install();
    const piece = fc.oneof(
      fc.constantFrom('"', '{', '}', '[', ']', ',', ':', 'null', '-1', '1e9', '""', '\\', '\0'),
      fc.string(),
    );
    const mutate = (text: string) =>
      fc
        .tuple(fc.nat(text.length), fc.nat(8), piece)
        .map(([at, length, replacement]) => text.slice(0, at) + replacement + text.slice(at + length));
    fc.assert(
      fc.property(
        mutate(SEED_CONFIG),
        mutate(ACCESS),
        mutate('{"urls":["https://g.example"]}'),
        (main, access, gateway) => {
          installation.write(MAIN, main);
          installation.write(ACCESS_FILE, access);
          installation.write(PACKAGE, gateway);
          for (const fault of findFaults(installation)) assert.match(fault, /^config\/[\w/.]+(?::\d+:\d+)?: ./);
        },
      ),
      { numRuns: 150 },
    );
    installation.write(MAIN, SEED_CONFIG);
    installation.write(ACCESS_FILE, ACCESS);
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('*', '/..', 'https://x', '0', '::1', 'a:1'));
    const names = [
      'virtualhost',
      'internalport',
      'protocol',
      'allowedPaths',
      'allowedMethods',
      'tls',
      'timeoutSeconds',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...names), value, (name, given) => {
        installation.write(ACCESS_FILE, toAccess({ [name]: given }));
        findFaults(installation);
      }),
      { numRuns: 150 },
    );
  });
});

const HOST_NEEDED = 'is not a host name or an address';
const ALONE = 'must be a host alone';
const URLS = '"gateway.urls"';

/** What stands in the main file, and what is said, behind the name of the file. */
const mainFaults: Record<string, [main: string, faults: readonly string[]]> = {
  'a list instead of an object': ['[]', [':1:1: must be an object, {…}']],
  'a comment': ['{\n  "cluster": {} // two\n}', [':2:17: comments cannot be used in configuration files']],
  'a member twice': ['{"cluster":{},\n"cluster":{}}', [':2:1: "cluster": stands here twice']],
  'an unknown setting': ['{"clusters":{}}', [':1:2: "clusters": there is no such setting; did you mean "cluster"?']],
  'a setting in another case': [
    '{"Credentials":{}}',
    [':1:2: "Credentials": there is no such setting; did you mean "credentials"?'],
  ],
  'a setting like none': [
    '{"x":1}',
    [':1:2: "x": there is no such setting; there are credentials, logger, cluster, tunnel, gateway, webhooks'],
  ],
  'a level like none': [
    '{"logger":{"applogs":{"level":"verbose"}}}',
    [':1:31: "logger.applogs.level": must be one of fatal, critical, error, warn, info, debug, trace'],
  ],
  'a folder that is no text': [
    '{"logger":{"applogs":{"path":7}}}',
    [':1:30: "logger.applogs.path": must be a text in double quotes'],
  ],
  'a folder of logs that is a file': [
    '{"logger":{"applogs":{"path":"credentials/ca.crt"}}}',
    [':1:30: "logger.applogs.path": credentials/ca.crt is not a folder'],
  ],
  'a folder of logs below a file': [
    '{"logger":{"auditlogs":{"path":"./credentials/ca.crt/audits"}}}',
    [':1:32: "logger.auditlogs.path": credentials/ca.crt is not a folder'],
  ],
  'a folder with a line feed': [
    '{"logger":{"applogs":{"path":".\\new"}}}',
    [':1:30: "logger.applogs.path": has a control character'],
  ],
  'a prefix that is a path': [
    '{"logger":{"applogs":{"prefix":"../x"}}}',
    [':1:32: "logger.applogs.prefix": must have only letters, digits and - _ . and at most 64 of them'],
  ],
  'both logs in one file': [
    '{"logger":{"applogs":{"prefix":"a"},"auditlogs":{"path":"logs","prefix":"a"}}}',
    [':1:11: "logger": "applogs" and "auditlogs" would write the same files'],
  ],
  'a size without sense': [
    '{"logger":{"applogs":{"maxSize":"much"}}}',
    [':1:33: "logger.applogs.maxSize": must be a number of bytes or a text like "100M", from 64K to 1024G'],
  ],
  'a size that is too small': [
    '{"logger":{"applogs":{"maxSize":100}}}',
    [':1:33: "logger.applogs.maxSize": must be a number of bytes or a text like "100M", from 64K to 1024G'],
  ],
  'one file larger than all': [
    '{"logger":{"applogs":{"maxSize":"2G","maxTotalSize":"1G"}}}',
    [':1:22: "logger.applogs": "maxSize" of one file is larger than "maxTotalSize" of all'],
  ],
  'enabled as text': [
    '{"cluster":{"enabled":"true"}}',
    [':1:23: "cluster.enabled": must be true or false, without quotes'],
  ],
  'no workers': ['{"cluster":{"workers":0}}', [':1:23: "cluster.workers": must be a whole number from 1 to 64']],
  'too many workers': [
    '{"cluster":{"workers":"65"}}',
    [':1:23: "cluster.workers": must be a whole number from 1 to 64'],
  ],
  'half a worker': ['{"cluster":{"workers":1.5}}', [':1:23: "cluster.workers": must be a whole number from 1 to 64']],
  'a proxy without a port': ['{"tunnel":{"proxyHost":"p"}}', [':1:11: "tunnel.proxyPort": is missing']],
  'a proxy as a URL': [
    '{"tunnel":{"proxyHost":"http://p","proxyPort":1}}',
    [`:1:24: "tunnel.proxyHost": ${ALONE}, without http:// or https://`],
  ],
  'a password without a user': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"passwordFile":"credentials/password.txt"}}',
    [':1:11: "tunnel.user": is needed by "passwordFile"'],
  ],
  'a user with a colon': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"user":"a:b"}}',
    [':1:49: "tunnel.user": must have no colon and at most 255 characters'],
  ],
  'a password in the file itself': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"password":"x"}}',
    [':1:42: "tunnel.password": there is no such setting; there are proxyHost, proxyPort, user, passwordFile, noProxy'],
  ],
  'a password of two lines': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"user":"u","passwordFile":"credentials/two-lines.txt"}}',
    [':1:68: "tunnel.passwordFile": credentials/two-lines.txt must have one line'],
  ],
  'an empty password': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"user":"u","passwordFile":"credentials/empty.txt"}}',
    [':1:68: "tunnel.passwordFile": credentials/empty.txt is empty'],
  ],
  'noProxy as text': [
    '{"tunnel":{"proxyHost":"p","proxyPort":1,"noProxy":"a,b"}}',
    [':1:52: "tunnel.noProxy": must be a list, […]'],
  ],
  'no address of a gateway': ['{"gateway":{"urls":[]}}', [`:1:20: ${URLS}: must name at least 1`]],
  'a gateway without TLS': ['{"gateway":{"urls":["http://g"]}}', [`:1:21: ${URLS}: must begin with https://`]],
  'a gateway with a path': [
    '{"gateway":{"urls":["https://g/x"]}}',
    [`:1:21: ${URLS}: must be https://host:port without a path`],
  ],
  'a gateway with a user': [
    '{"gateway":{"urls":["https://u:p@g"]}}',
    [`:1:21: ${URLS}: must not have a user or a password`],
  ],
  'a gateway twice': ['{"gateway":{"urls":["https://g","https://G:443/"]}}', [`:1:20: ${URLS}: names a gateway twice`]],
  'a gateway as text': ['{"gateway":"https://g"}', [':1:12: "gateway": must be an object, {…}']],
  'webhooks without routes': ['{"webhooks":{"port":1}}', [':1:13: "webhooks.routes": is missing']],
  'a webhook to a file': [
    '{"webhooks":{"port":1,"routes":[{"path":"/a","target":"file:///x"}]}}',
    [
      ':1:55: "webhooks.routes.target": must be a name of the gateway, or a URL, http or https, without a user and without #',
    ],
  ],
  'two webhooks of one path': [
    '{"webhooks":{"port":1,"routes":[{"path":"/a","target":"https://x"},{"path":"/a","target":"https://y"}]}}',
    [':1:13: "webhooks.routes": has two routes of one path'],
  ],
  'a key that is a certificate': [
    '{"credentials":{"key":"credentials/ca.crt"}}',
    [':1:23: "credentials.key": credentials/ca.crt holds a certificate, not a private key'],
  ],
  'a key with a passphrase': [
    '{"credentials":{"key":"credentials/encrypted.key"}}',
    [':1:23: "credentials.key": credentials/encrypted.key is encrypted; the agent needs a key without a passphrase'],
  ],
  'a damaged key': [
    '{"credentials":{"key":"credentials/damaged.key"}}',
    [':1:23: "credentials.key": credentials/damaged.key holds a damaged private key'],
  ],
  'a certificate that is a request': [
    '{"credentials":{"cert":"credentials/client.pem.csr"}}',
    [
      ':1:24: "credentials.cert": credentials/client.pem.csr holds the request, not the certificate that was made from it',
    ],
  ],
  'a certificate that is a key': [
    '{"credentials":{"cert":"credentials/client.key"}}',
    [':1:24: "credentials.cert": credentials/client.key holds a private key, not a certificate'],
  ],
  'a damaged certificate': [
    '{"credentials":{"cert":"credentials/damaged.pem"}}',
    [':1:24: "credentials.cert": credentials/damaged.pem certificate 1 in it is damaged'],
  ],
  "another key's certificate": [
    '{"credentials":{"cert":"credentials/client.pem"}}',
    [':1:24: "credentials.cert": the certificate was made for another key than "credentials.key"'],
  ],
  "nobody's certificate": [
    '{"credentials":{"key":"credentials/nobody.key",\n"cert":"credentials/nobody.pem"}}',
    [':2:8: "credentials.cert": the certificate names no connector'],
  ],
  'authorities that are text': [
    '{"credentials":{"ca":"credentials/text.txt"}}',
    [':1:22: "credentials.ca": credentials/text.txt holds no PEM certificate'],
  ],
  'a folder as a file': [
    '{"credentials":{"ca":"credentials"}}',
    [':1:22: "credentials.ca": credentials is not a file'],
  ],
};

/** What stands in the access control, and what is said, behind the name of the file. */
const accessFaults: Record<string, [access: string, faults: readonly string[]]> = {
  'one mapping without a list': ['{}', [':1:1: must be a list, […]']],
  'a virtual host that is a URL': [
    toAccess({ virtualhost: 'https://crm' }),
    [`:3:20: "virtualhost": ${ALONE}, without http:// or https://`],
  ],
  'a host with a port': [
    toAccess({ internalhost: 'crm:80' }),
    [`:4:21: "internalhost": ${ALONE}; the port has a setting of its own`],
  ],
  'a host with a path': [toAccess({ internalhost: 'crm/a' }), [`:4:21: "internalhost": ${ALONE}, without a path`]],
  'a host with a user': [toAccess({ internalhost: 'me@crm' }), [`:4:21: "internalhost": ${ALONE}, without a user`]],
  'a host with a wildcard': [toAccess({ virtualhost: '*.corp' }), [`:3:20: "virtualhost": ${HOST_NEEDED}`]],
  'a host with a blank': [toAccess({ virtualhost: 'a b' }), [`:3:20: "virtualhost": ${HOST_NEEDED}`]],
  'a host without ASCII': [
    toAccess({ virtualhost: 'müller.corp' }),
    [':3:20: "virtualhost": must be written in ASCII, as in xn--…'],
  ],
  'a short IPv4 address': [toAccess({ internalhost: '10.1' }), [':4:21: "internalhost": is not an IPv4 address']],
  'a hexadecimal address': [
    toAccess({ internalhost: '0x7f000001' }),
    [':4:21: "internalhost": is not an IPv4 address'],
  ],
  'an IPv6 address with a zone': [
    toAccess({ internalhost: 'fe80::1%eth0' }),
    [':4:21: "internalhost": must be an address without a zone'],
  ],
  'an empty host': [toAccess({ virtualhost: '' }), [':3:20: "virtualhost": is empty']],
  'a port of zero': [toAccess({ virtualport: 0 }), [':7:20: "virtualport": must be a port from 1 to 65535']],
  'a port as a word': [toAccess({ internalport: 'http' }), [':7:21: "internalport": must be a port from 1 to 65535']],
  'a port with a blank': [toAccess({ internalport: '80 ' }), [':7:21: "internalport": must be a port from 1 to 65535']],
  'another protocol': [toAccess({ protocol: 'ws' }), [':5:17: "protocol": must be one of http, https']],
  'one path without a list': [
    toAccess({ allowedPaths: '/api/*' }),
    [':6:21: "allowedPaths": must be "/*" or a list of paths, ["/api/*", "/status"]'],
  ],
  'no path': [toAccess({ allowedPaths: [] }), [':6:21: "allowedPaths": must name at least 1']],
  'a path with parameters': [
    toAccess({ allowedPaths: ['/a', '/b?x=1'] }),
    [':8:7: "allowedPaths": a path is given without parameters, up to the "?"'],
  ],
  'a path with a wildcard inside': [
    toAccess({ allowedPaths: ['/a/*/b'] }),
    [':7:7: "allowedPaths": has a "*" elsewhere than in a final "/*"'],
  ],
  'a path that is a number': [
    toAccess({ allowedPaths: [7] }),
    [':7:7: "allowedPaths": must be a text in double quotes'],
  ],
  'CONNECT as a method': [
    toAccess({ allowedMethods: ['CONNECT'] }),
    [':8:7: "allowedMethods": CONNECT cannot be allowed: paths cannot be checked inside it'],
  ],
  'a star as a method': [
    toAccess({ allowedMethods: ['*'] }),
    [':8:7: "allowedMethods": must be methods such as "GET"; leave it out for all'],
  ],
  'no time': [toAccess({ timeoutSeconds: 0 }), [':7:23: "timeoutSeconds": must be a number of seconds from 1 to 3600']],
  'a setting with an underscore': [
    toAccess({ allowed_methods: ['GET'] }),
    [':7:5: "allowed_methods": there is no such setting; did you mean "allowedMethods"?'],
  ],
  'TLS without TLS': [toAccess({ protocol: 'http', tls: {} }), [':2:3: "tls": is for "protocol": "https" only']],
  'a client key without a certificate': [
    toAccess({ tls: { key: 'credentials/client.key' } }),
    [':7:12: "tls": "key" and "cert" need each other'],
  ],
  'a chain without a certificate': [
    toAccess({ tls: { chain: 'credentials/ca.crt' } }),
    [':7:12: "tls.chain": is needless without "cert"'],
  ],
  'a client certificate of another key': [
    toAccess({ tls: { key: 'credentials/nobody.key', cert: 'credentials/client.pem' } }),
    [':7:12: "tls.cert": the certificate was made for another key than "key"'],
  ],
  'a missing authority': [
    toAccess({ tls: { ca: 'credentials/other.crt' } }),
    [':8:13: "tls.ca": credentials/other.crt is not there'],
  ],
  'an old TLS': [
    toAccess({ tls: { minVersion: 'TLSv1.1' } }),
    [':8:21: "tls.minVersion": must be one of TLSv1.2, TLSv1.3'],
  ],
  'an address twice, the port once by default': [
    toAccess({}, { ...JSON.parse(toAccess({ virtualhost: 'CRM.virtual', virtualport: '443' }))[0] }),
    [':9:20: "virtualhost": crm.virtual:443 is mapped in line 3 already'],
  ],
  'too many applications': [
    JSON.stringify(Array.from({ length: MAX_RULES + 1 }, (_, i) => JSON.parse(toAccess({ virtualhost: `h${i}` }))[0])),
    [':1:1: at most 1000 applications can be mapped'],
  ],
};

describe('a fault is told with its place:', () => {
  for (const [name, [main, faults]] of Object.entries(mainFaults)) {
    it(name, () =>
      assert.deepEqual(
        findFaults(install({ [MAIN]: main })),
        faults.map((fault) => `${MAIN}${fault}`),
      ),
    );
  }
  for (const [name, [access, faults]] of Object.entries(accessFaults)) {
    it(name, () =>
      assert.deepEqual(
        findFaults(install({ [ACCESS_FILE]: access })),
        faults.map((fault) => `${ACCESS_FILE}${fault}`),
      ),
    );
  }

  it('no main file', () => assert.deepEqual(findFaults(install({ [MAIN]: undefined })), [`${MAIN}: is not there`]));
  it('no access control', () => {
    assert.deepEqual(findFaults(install({ [ACCESS_FILE]: undefined })), [`${ACCESS_FILE}: is not there`]);
  });
  it('no gateway anywhere', () => {
    assert.deepEqual(findFaults(install({ [PACKAGE]: undefined })), [
      `${MAIN}:1:1: "gateway": is missing; add "gateway": {"urls":["https://gateway.example:8443"]}`,
    ]);
  });
  it('a bad gateway in the environment', () => {
    assert.deepEqual(findFaults(install(), { ...OPTIONS, gatewayUrls: ['g.example'] }), [
      'COUNTERSIGN_CONNECTOR_GATEWAY_URLS: must begin with https://',
    ]);
  });
  it('a bad gateway in the package', () => {
    assert.deepEqual(findFaults(install({ [PACKAGE]: '{"urls":"x"}' })), [
      `${PACKAGE}:1:9: "urls": must be a list, […]`,
    ]);
  });
  it('a certificate for the package of another connector', () => {
    assert.deepEqual(findFaults(install({ [PACKAGE]: '{"urls":["https://g.example"],"id":"cn-2"}' })), [
      `${MAIN}: "credentials.cert": the certificate is of ${CONNECTOR_ID}, this package of cn-2`,
    ]);
  });
  it('a folder in which no key was made yet', () => {
    const missing = {
      'credentials/Kore.aiConnector.key': undefined,
      'credentials/Kore.aiConnectorCert.pem': undefined,
      'credentials/ca.crt': undefined,
    };
    assert.deepEqual(findFaults(install(missing)), [
      `${MAIN}:3:13: "credentials.key": credentials/Kore.aiConnector.key is not there; make it with the openssl command that the page of the connector shows, in the folder of the credentials`,
      `${MAIN}:4:14: "credentials.cert": credentials/Kore.aiConnectorCert.pem is not there; paste Kore.aiConnector.csr into "Generate Certificate" and save what comes back under this name`,
      `${MAIN}:5:12: "credentials.ca": credentials/ca.crt is not there; it comes with the package of the connector`,
    ]);
  });
  it('certificates that have ended, or not begun', () => {
    const installation = install();
    const now = systemClock.nowSeconds();
    const late = findFaults(installation, { clock: createFakeClock(now + 11 * YEAR_SECONDS) });
    const early = findFaults(installation, { clock: createFakeClock(now - YEAR_SECONDS) });
    for (const [faults, words] of [
      [late, 'the certificate ended on '],
      [early, 'the certificate begins on '],
    ] as const) {
      assert.equal(faults.length, 2);
      assert.ok(
        faults[0]?.startsWith(
          `${MAIN}:4:14: "credentials.cert": credentials/Kore.aiConnectorCert.pem cannot be used: ${words}`,
        ),
      );
      assert.ok(faults[1]?.startsWith(`${MAIN}:5:12: "credentials.ca": credentials/ca.crt cannot be used: ${words}`));
    }
  });
  it('a file that is too large', () => {
    const faults = findFaults(install({ [MAIN]: ' '.repeat(MAX_CONFIG_BYTES + 1) }));
    assert.deepEqual(faults, [`${MAIN}: is larger than 1048576 bytes`]);
    assert.deepEqual(findFaults(install({ [MAIN]: `{}${' '.repeat(MAX_CONFIG_BYTES - 2)}` })), []);
  });
  it('a file in another encoding', () => {
    const utf16 = Buffer.from('\ufeff{}', 'utf16le');
    assert.deepEqual(findFaults(install({ [MAIN]: utf16 })), [`${MAIN}: is UTF-16; save it as UTF-8`]);
    assert.deepEqual(findFaults(install({ [MAIN]: Buffer.from([0x7b, 0xe4, 0x7d]) })), [`${MAIN}: is not UTF-8`]);
    assert.deepEqual(findFaults(install({ [MAIN]: `\ufeff${SEED_CONFIG.replaceAll('\n', '\r\n')}` })), []);
  });
  it('many faults, of which not all are listed', () => {
    const faults = findFaults(install({ [ACCESS_FILE]: JSON.stringify(Array.from({ length: 300 }, () => 1)) }));
    assert.equal(faults.length, 201);
    assert.equal(faults.at(-1), 'and 100 more');
  });
});
