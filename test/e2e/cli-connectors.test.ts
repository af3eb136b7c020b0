import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { runCountersign } from '../support/processes.ts';
import { KEYS, startOpenssl } from '../unit/gateway/openssl.ts';
import { type Json, makeFolder, toFolders } from './cli-processes.ts';

const ID = 'cn-00000000-0000-4000-8000-000000000000';

async function run(args: readonly string[], env: Record<string, string>, input = ''): Promise<Json> {
  const { code, stdout, stderr } = await runCountersign(args, env, input);
  assert.equal(code, 0, stderr);
  const [command, action, id = ''] = args;
  const { time, ...line } = JSON.parse(stderr) as Json;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(line, { act: `${command} ${action}`, ...(/^c[nl]-/.test(id) && { id }), msg: 'admin act' });
  return JSON.parse(stdout) as Json;
}

describe('countersign connectors', () => {
  it('goes from a new connector to an enabled one with its certificate and its package', async (t) => {
    const folder = await makeFolder(t);
    const env = toFolders(folder);
    const openssl = await startOpenssl(t);
    const created = await run(['connectors', 'create', '--name', 'Intranet', '--company', 'one'], env);
    const id = String(created['id']);
    assert.deepEqual([created['name'], created['company'], created['enabled']], ['Intranet', 'one', false]);
    const csr = await openssl.request(KEYS['RSA 2048']);
    const out = join(folder, 'Kore.aiConnectorCert.pem');
    await writeFile(join(folder, 'it.csr'), csr);
    const { serial, file } = await run(
      ['connectors', 'certificate', id, '--csr-file', join(folder, 'it.csr'), '--out', out],
      env,
    );
    assert.equal(file, out);
    const piped = await run(['connectors', 'certificate', id, '--csr-file', '-'], env, csr);
    await openssl.write('ca.crt', String(piped['ca']));
    for (const pem of [await readFile(out, 'utf8'), String(piped['certificate'])]) {
      await openssl.write('it.pem', pem);
      assert.equal(await openssl.run('verify', '-purpose', 'sslclient', '-CAfile', 'ca.crt', 'it.pem'), 'it.pem: OK\n');
    }
    assert.equal((await run(['connectors', 'enable', id], env))['enabled'], true);
    const revoked = await run(['connectors', 'revoke', id, '--serial', String(serial)], env);
    const certificates = revoked['certificates'] as Json[];
    assert.deepEqual(
      new Map(certificates.map((one) => [one['serial'], 'revokedAt' in one])),
      new Map([
        [serial, true],
        [piped['serial'], false],
      ]),
    );
    assert.equal((await run(['connectors', 'disable', id], env))['enabled'], false);
    const changed = await run(['connectors', 'update', id, '--description', 'CRM'], env);
    assert.deepEqual((await run(['connectors', 'list'], env))['connectors'], [changed]);
    assert.deepEqual(await run(['connectors', 'show', id], env), changed);
    const { bytes } = await run(
      ['connectors', 'package', id, '--os', 'windows', '--out', join(folder, 'agent.zip')],
      env,
    );
    assert.equal((await readFile(join(folder, 'agent.zip'))).length, bytes);
    assert.deepEqual(await run(['connectors', 'delete', id], env), { deleted: id });
    const { code, stderr } = await runCountersign(['connectors', 'show', id], env);
    assert.deepEqual([code, stderr.split('\n')[1]], [1, 'countersign connectors: there is no such connector']);
  });

  it('registers callers, whose token it shows once', async (t) => {
    const env = toFolders(await makeFolder(t));
    const { id } = await run(['connectors', 'create'], env);
    const { token, ...caller } = await run(['callers', 'create', '--name', 'Bots', '--connectors', String(id)], env);
    assert.match(String(token), /^csc_[\w-]{43}$/);
    assert.deepEqual(caller['connectors'], [id]);
    assert.deepEqual(await run(['callers', 'list'], env), { callers: [caller] });
    assert.deepEqual(await run(['callers', 'delete', String(caller['id'])], env), { deleted: caller['id'] });
    assert.deepEqual(await run(['callers', 'list'], env), { callers: [] });
  });

  for (const words of [
    'connectors', 'connectors show', `connectors list ${ID}`, `connectors enable ${ID} ${ID}`, `connectors show ${ID} --name x`,
    `connectors certificate ${ID}`, `connectors revoke ${ID}`, 'connectors create --csr-file x', 'connectors __proto__',
    `connectors certificate ${ID} --csr-file /nowhere`, 'callers', 'callers delete', 'callers create x', 'callers list --name x',
    `callers toString`, 'callers create --token x',
  ]) {
    it(`takes no other words: ${words}`, async (t) => {
      const { code, stdout } = await runCountersign(words.split(' '), toFolders(await makeFolder(t)));
      assert.deepEqual([code, stdout], [2, '']);
    });
  } // prettier-ignore

  for (const [words, says] of Object.entries({
    'connectors create --name  ': /"name" must have at least 1/,
    [`connectors package ${ID} --os mac`]: /"os" must be one of linux, windows/,
    [`connectors delete ${ID}`]: /there is no such connector/,
    'callers create': /"name" is missing/,
    'callers delete cl-nobody': /there is no such caller/,
  })) {
    it(`says what is wrong: ${words}`, async (t) => {
      const { code, stderr } = await runCountersign(words.split(' '), toFolders(await makeFolder(t)));
      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});
