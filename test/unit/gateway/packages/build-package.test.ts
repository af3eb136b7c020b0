import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

import { type BuiltPackage, createPackageBuilder } from '../../../../src/gateway/packages/build-package.ts';

const execute = promisify(execFile);

const ADDITION = {
  connectorId: 'cn-5d5c2b7c-6a0e-4f2d-9a55-4dc0f1b3f6aa',
  caPem: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  gatewayUrls: ['https://one.example:8443', 'https://two.example:8443'],
};
const BAD_NAMES: Readonly<Record<string, string>> = {
  none: '',
  'one that climbs': '../kore',
  'one with a slash': 'a/b',
  'one that begins with a dash': '-rf',
  'one that breaks a header': 'a"\r\nb',
  'one that is too long': 'n'.repeat(41),
};

let template = '';

before(async () => {
  template = await mkdtemp(join(tmpdir(), 'countersign-template-'));
  await cp('deploy/connector', template, { recursive: true });
  await mkdir(join(template, 'lib'));
  await writeFile(join(template, 'lib', 'package.json'), '{"name":"kore-connector","version":"1.2.3"}');
});
after(() => rm(template, { recursive: true, force: true }));

async function unpack(t: TestContext, { fileName, bytes }: BuiltPackage): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-package-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, fileName), bytes);
  const [command, ...args] = fileName.endsWith('.zip') ? ['unzip', '-q', fileName] : ['tar', '-xvf', fileName];
  await execute(command ?? '', args, { cwd: folder });
  return folder;
}

describe('the package of a connector', () => {
  for (const os of ['linux', 'windows'] as const) {
    it(`for ${os} holds whom the agent trusts and where the gateway is`, async (t) => {
      const built = await createPackageBuilder(template)({ os, addition: ADDITION });
      const folder = join(await unpack(t, built), 'kore-connector');
      assert.equal(await readFile(join(folder, 'credentials', 'ca.crt'), 'utf8'), ADDITION.caPem);
      const gateway: unknown = JSON.parse(await readFile(join(folder, 'config', 'gateway.json'), 'utf8'));
      assert.deepEqual(gateway, { id: ADDITION.connectorId, urls: ADDITION.gatewayUrls });
      for (const name of ['logs', 'audits', 'run', 'spool', 'config/configs']) {
        assert.ok((await stat(join(folder, name))).isDirectory(), name);
      }
      for (const name of ['credentials', 'spool']) {
        assert.equal((await stat(join(folder, name))).mode & 0o777, 0o700, name);
      }
      assert.equal((await stat(join(folder, 'koreconnector.sh'))).mode & 0o777, 0o755);
    });
  }

  it('is called as the system expects it', async () => {
    const build = createPackageBuilder(template);
    const [linux, windows] = [await build({ os: 'linux' }), await build({ os: 'windows' })];
    assert.equal(linux.fileName, 'kore-connector-1.2.3.tar.gz');
    assert.equal(linux.contentType, 'application/gzip');
    assert.equal(windows.fileName, 'kore-connector-1.2.3.zip');
    assert.equal(windows.contentType, 'application/zip');
  });

  it('for everyone holds neither', async (t) => {
    const folder = await unpack(t, await createPackageBuilder(template)({ os: 'linux' }));
    await assert.rejects(stat(join(folder, 'kore-connector', 'config', 'gateway.json')), { code: 'ENOENT' });
    await assert.rejects(stat(join(folder, 'kore-connector', 'credentials', 'ca.crt')), { code: 'ENOENT' });
  });

  it('may have another name', async (t) => {
    const built = await createPackageBuilder(template)({ os: 'linux', name: 'acme-connector' });
    assert.equal(built.fileName, 'acme-connector-1.2.3.tar.gz');
    assert.ok(await stat(join(await unpack(t, built), 'acme-connector', 'koreconnector.cmd')));
  });

  for (const [name, value] of Object.entries(BAD_NAMES)) {
    it(`may not be called by ${name}`, async () => {
      await assert.rejects(createPackageBuilder(template)({ os: 'linux', name: value }), TypeError);
    });
  }

  it('is the same each time', async () => {
    const build = createPackageBuilder(template);
    for (const os of ['linux', 'windows'] as const) {
      const [first, second] = [await build({ os, addition: ADDITION }), await build({ os, addition: ADDITION })];
      assert.ok(first.bytes.equals(second.bytes), os);
    }
  });

  it('is a failure where the build left nothing to pack', async () => {
    await assert.rejects(createPackageBuilder(join(template, 'nowhere'))({ os: 'linux' }), { code: 'ENOENT' });
  });
});
