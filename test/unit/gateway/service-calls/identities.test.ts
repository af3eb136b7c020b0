import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

import { Registry } from 'prom-client';

import { AppError } from '../../../../src/core/errors.ts';
import { loadServiceIdentities, NO_IDENTITIES } from '../../../../src/gateway/service-calls/identities.ts';
import { IdentityFault } from '../../../../src/gateway/service-calls/identity.ts';
import { observeIdentities } from '../../../../src/gateway/service-calls/observe-identities.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type Issued,
} from '../../../support/certificate-authority.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { createTempFolder } from '../../../support/processes.ts';
import { createKeptLog } from '../../http/app-under-test.ts';

const NOW = Date.parse('2030-06-01T00:00:00Z') / 1000;
const DAY = 86_400;
const SPAN = { from: '20300101000000Z', to: '20300701000000Z' } as const;
const PASSPHRASE = 'correct horse battery';

let ca: CertificateAuthority;
let intermediate: Issued;
let client: Issued;
let other: Issued;
let late: Issued;
let old: Issued;
let encryptedKey: string;
let p12: Buffer;

const openssl = async (...args: readonly string[]): Promise<Buffer> => {
  const options = { cwd: ca.folder, encoding: 'buffer' as const, env: { ...process.env, PASS: PASSPHRASE } };
  return (await promisify(execFile)('openssl', [...args], options)).stdout;
};

before(async () => {
  ca = await createCertificateAuthority('Root', SPAN);
  intermediate = await ca.issue({ commonName: 'Intermediate', isAuthority: true, ...SPAN });
  client = await ca.issue({ commonName: 'bots', ...SPAN }, intermediate);
  other = await ca.issue({ commonName: 'other', ...SPAN });
  late = await ca.issue({ commonName: 'late', from: '20310101000000Z', to: '20320101000000Z' });
  old = await ca.issue({ commonName: 'old', from: '20290101000000Z', to: '20300101000000Z' });
  encryptedKey = (await openssl('pkey', '-in', client.keyFile, '-aes256', '-passout', 'env:PASS')).toString();
  const files = ['-inkey', client.keyFile, '-in', client.certFile, '-certfile', intermediate.certFile];
  p12 = await openssl('pkcs12', '-export', ...files, '-passout', 'env:PASS');
});
after(() => ca.remove());

type Files = Readonly<Record<string, string | Buffer>>;

async function write(folder: string, name: string, files: Files): Promise<void> {
  await rm(join(folder, name), { recursive: true, force: true });
  await mkdir(join(folder, name), { recursive: true });
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, name, file), content);
}

async function load(t: TestContext, identities: Readonly<Record<string, Files>>) {
  const folder = await createTempFolder();
  for (const [name, files] of Object.entries(identities)) await write(folder, name, files);
  const clock = createFakeClock(NOW);
  const log = createKeptLog();
  const loaded = await loadServiceIdentities(folder, { clock, logger: log.logger });
  t.after(async () => {
    loaded.close();
    await rm(folder, { recursive: true, force: true });
  });
  const problems = (): unknown[] => log.lines().flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  return { folder, clock, loaded, problems, lines: log.lines };
}

const pem = (): Files => ({ 'key.pem': client.key, 'cert.pem': client.cert, 'chain.pem': intermediate.cert });

const isUnknown = (error: unknown): boolean => error instanceof AppError && error.code === 'service_identity_unknown';

const GOOD: Readonly<Record<string, () => Files>> = {
  'key, certificate and chain': pem,
  'the chain behind the certificate': () => ({ 'key.pem': client.key, 'cert.pem': client.cert + intermediate.cert }),
  'the chain in another order, with its root': () => ({ ...pem(), 'chain.pem': ca.cert + intermediate.cert }),
  'a key with a passphrase': () => ({ ...pem(), 'key.pem': encryptedKey, passphrase: `${PASSPHRASE}\n` }),
  'authorities of servers': () => ({ ...pem(), 'ca.pem': ca.cert }),
  'PKCS#12': () => ({ 'identity.p12': p12, passphrase: PASSPHRASE }),
  'PKCS#12 with authorities of servers': () => ({ 'identity.p12': p12, passphrase: PASSPHRASE, 'ca.pem': ca.cert }),
};

const BAD: Readonly<Record<string, readonly [() => Files, RegExp]>> = {
  'an empty folder': [() => ({}), /neither key\.pem nor identity\.p12/],
  'no certificate': [() => ({ 'key.pem': client.key }), /cert\.pem is missing/],
  'the key of another certificate': [() => ({ ...pem(), 'key.pem': other.key }), /not the key of cert\.pem/],
  'a key that is none': [() => ({ ...pem(), 'key.pem': 'nothing' }), /key\.pem is no private key/],
  'a certificate that is none': [() => ({ ...pem(), 'cert.pem': 'nothing' }), /cert\.pem holds no certificate/],
  'a damaged certificate': [() => ({ ...pem(), 'cert.pem': client.cert.replace(/MII/, 'AAA') }), /cannot be read/],
  'no passphrase': [() => ({ ...pem(), 'key.pem': encryptedKey }), /the passphrase is wrong or missing/],
  'a wrong passphrase': [() => ({ ...pem(), 'key.pem': encryptedKey, passphrase: 'wrong' }), /the passphrase is wrong/],
  'a certificate of another chain': [() => ({ ...pem(), 'chain.pem': other.cert }), /not part of the chain/],
  'an expired certificate': [() => ({ 'key.pem': old.key, 'cert.pem': old.cert }), /has expired/],
  'a certificate of the future': [() => ({ 'key.pem': late.key, 'cert.pem': late.cert }), /not valid yet/],
  'PKCS#12 without its passphrase': [() => ({ 'identity.p12': p12 }), /the passphrase is wrong or missing/],
  'PKCS#12 with a wrong passphrase': [() => ({ 'identity.p12': p12, passphrase: 'wrong' }), /the passphrase is wrong/],
  'PKCS#12 that is none': [() => ({ 'identity.p12': 'nothing' }), /identity\.p12 cannot be used/],
  'both forms': [() => ({ ...pem(), 'identity.p12': p12 }), /stands beside/],
  'a file that is too large': [() => ({ ...pem(), 'ca.pem': 'x'.repeat(262_145) }), /ca\.pem is larger/],
};

describe('an identity for services', () => {
  for (const [name, toFiles] of Object.entries(GOOD)) {
    it(`is made of ${name}`, async (t) => {
      const { loaded, problems } = await load(t, { default: toFiles() });
      assert.deepEqual(problems(), []);
      const [identity] = loaded.list();
      assert.ok(identity);
      assert.equal(identity.subject, 'CN=bots');
      assert.equal(identity.issuer, 'CN=Intermediate');
      assert.equal(identity.notAfter, '2030-07-01T00:00:00.000Z');
      const expected = await openssl('x509', '-in', client.certFile, '-noout', '-serial');
      assert.equal(`serial=${identity.serial.toUpperCase()}`, expected.toString().trim());
      const pems = identity.certificates.match(/-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g) ?? [];
      const subjects = pems.map((text) => new X509Certificate(text).subject);
      assert.deepEqual(subjects.slice(0, 2), ['CN=bots', 'CN=Intermediate']);
      assert.doesNotMatch(JSON.stringify(identity), /PRIVATE/);
    });
  }

  for (const [name, [toFiles, problem]] of Object.entries(BAD)) {
    it(`is not made of ${name}, and the log says why`, async (t) => {
      const { loaded, problems, lines } = await load(t, { default: toFiles(), good: pem() });
      assert.match(String(problems()[0]), problem);
      assert.equal(problems().length, 1);
      assert.deepEqual(loaded.names(), ['good']);
      assert.throws(() => loaded.select(undefined), isUnknown);
      assert.doesNotMatch(JSON.stringify(lines()), /correct horse|PRIVATE KEY/);
      await loaded.refresh();
      assert.equal(problems().length, 1, 'said once');
    });
  }
});

describe('the identities', () => {
  it('are selected by name, and by default', async (t) => {
    const { loaded } = await load(t, { default: pem(), second: { 'key.pem': other.key, 'cert.pem': other.cert } });
    assert.equal(loaded.select(undefined)?.name, 'default');
    assert.equal(loaded.select('second')?.name, 'second');
    for (const name of ['third', '..', '__proto__', '']) assert.throws(() => loaded.select(name), isUnknown);
  });

  it('need no default', async (t) => {
    const { loaded } = await load(t, { second: pem() });
    assert.equal(loaded.select(undefined), undefined);
    assert.equal(NO_IDENTITIES.select(undefined), undefined);
    assert.throws(() => NO_IDENTITIES.select('default'), isUnknown);
  });

  it('cannot be of a folder that is not there', async () => {
    const { logger } = createKeptLog();
    const deps = { clock: createFakeClock(NOW), logger };
    await assert.rejects(loadServiceIdentities('/nothing/here', deps), (error) => error instanceof IdentityFault && /ENOENT/.test(error.message)); // prettier-ignore
  });

  it('are not of folders that begin with a dot, nor of files', async (t) => {
    const { folder, loaded } = await load(t, { default: pem(), '..data': pem(), '.git': {} });
    await writeFile(join(folder, 'README'), 'x');
    await loaded.refresh();
    assert.deepEqual(loaded.names(), ['default']);
  });

  it('change with their files, and come and go with their folders', async (t) => {
    const { folder, loaded } = await load(t, { default: pem() });
    await write(folder, 'default', { 'key.pem': other.key, 'cert.pem': other.cert });
    await write(folder, 'new', pem());
    await loaded.refresh();
    assert.deepEqual(loaded.list().map(({ name, subject }) => [name, subject]), [['default', 'CN=other'], ['new', 'CN=bots']]); // prettier-ignore
    await rm(join(folder, 'new'), { recursive: true });
    await loaded.refresh();
    assert.deepEqual(loaded.names(), ['default']);
  });

  it('stay what they were while their files cannot be used', async (t) => {
    const { folder, loaded, problems } = await load(t, { default: pem() });
    await writeFile(join(folder, 'default', 'key.pem'), other.key);
    await loaded.refresh();
    assert.match(String(problems()[0]), /not the key/);
    assert.equal(loaded.list()[0]?.subject, 'CN=bots');
    await writeFile(join(folder, 'default', 'cert.pem'), other.cert);
    await rm(join(folder, 'default', 'chain.pem'));
    await loaded.refresh();
    assert.equal(loaded.list()[0]?.subject, 'CN=other');
  });

  it('stay what they were while the folder is away', async (t) => {
    const { folder, loaded, problems } = await load(t, { default: pem() });
    await rename(folder, `${folder}-away`);
    await loaded.refresh();
    await loaded.refresh();
    assert.deepEqual(problems(), ['the folder cannot be read (ENOENT)']);
    assert.deepEqual(loaded.names(), ['default']);
    await rename(`${folder}-away`, folder);
  });

  it('become usable when their time comes, without a change', async (t) => {
    const { clock, loaded } = await load(t, { default: { 'key.pem': late.key, 'cert.pem': late.cert } });
    clock.set(Date.parse('2031-02-01T00:00:00Z') / 1000);
    await loaded.refresh();
    assert.deepEqual(loaded.names(), ['default']);
  });

  it('are warned of 30, 14, 7 and 1 days before their end, once each, and once after it', async (t) => {
    const { clock, loaded, lines } = await load(t, { default: pem() });
    const end = NOW + 30 * DAY;
    for (const days of [29.5, 20, 13.9, 13, 6.9, 2, 0.9, 0.5, -0.1, -1]) {
      clock.set(end - days * DAY);
      await loaded.refresh();
    }
    const said = lines().filter(({ msg }) => /expire/.test(String(msg)));
    assert.deepEqual(said.map(({ level, daysLeft }) => [level, daysLeft]), [[40, 30], [40, 13], [40, 6], [40, 0], [50, undefined]]); // prettier-ignore
    assert.deepEqual(loaded.names(), ['default'], 'what expires while it is in use stays: the service says what it thinks of it'); // prettier-ignore
  });

  it('show their end in the metrics', async (t) => {
    const { loaded } = await load(t, { default: pem() });
    const registry = new Registry();
    observeIdentities(registry, loaded);
    assert.match(await registry.metrics(), /expiry_timestamp_seconds\{identity="default"\} 1909094400\n/);
  });
});
