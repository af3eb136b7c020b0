import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createToken } from '../../src/core/ids.ts';
import { createCertificate } from '../http/server-certificate.ts';
import { startChild } from '../support/child.ts';
import { type CountersignProcess, runCountersign, startCountersign } from '../support/processes.ts';
import { openRaw } from '../unit/http/raw-http.ts';
import { assertSays, type Json, makeFolder, post, readTokens, start, toFolders, waitFor } from './cli-processes.ts';

describe('countersign start', () => {
  it("prints the admin token on the first run and never again; keys are their owner's alone", async (t) => {
    const env = toFolders(await makeFolder(t));
    const first = await startCountersign(['start'], env);
    const [token = ''] = readTokens(first.stdout());
    const ask = (process: CountersignProcess): Promise<Response> =>
      fetch(`${process.idproxyUrl}/admin/apps`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await ask(first)).status, 200);
    assert.deepEqual(await first.stop(), { code: 0, signal: null });
    for (const name of await readdir(env.COUNTERSIGN_KEYS_DIR)) {
      assert.equal((await stat(join(env.COUNTERSIGN_KEYS_DIR, name))).mode & 0o777, 0o600, name);
      assert.ok(!(await readFile(join(env.COUNTERSIGN_KEYS_DIR, name), 'utf8')).includes(token), name);
    }
    assert.equal((await stat(env.COUNTERSIGN_KEYS_DIR)).mode & 0o777, 0o700);
    assert.equal((await stat(env.COUNTERSIGN_DATA_DIR)).mode & 0o777, 0o700);

    const second = await start(t, ['start'], env);
    assert.deepEqual(readTokens(second.stdout()), []);
    assertSays(second.stdout(), 'Countersign runs.', '/api/1.1/userinfo');
    const { apps } = (await (await ask(second)).json()) as { apps: Json[] };
    assert.equal(apps.length, 1);
  });

  it('prints no token where one is given', async (t) => {
    const process = await start(t, ['start'], { COUNTERSIGN_ADMIN_TOKEN: createToken(32) });
    assert.deepEqual(readTokens(process.stdout()), []);
    assert.deepEqual((await readdir(process.keysDir)).sort(), ['demo-client-HS256.json', 'master.key']);
  });

  it('signs with each algorithm for its demo app, and keeps that app', async (t) => {
    const env = toFolders(await makeFolder(t));
    for (const algorithm of ['HS512', 'RS256', 'HS512']) {
      const process = await startCountersign(['start'], { ...env, COUNTERSIGN_ALGORITHM: algorithm });
      const minted = await post(`${process.issuerUrl}/users/sts`, { identity: 'alice' });
      const granted = await post(`${process.idproxyUrl}/authorize`, { assertion: minted.body['jwt'] });
      assert.deepEqual([minted.status, granted.status], [200, 200], process.stdout());
      await process.stop();
    }
    const listed = await runCountersign(['apps', 'list'], env);
    const { apps } = JSON.parse(listed.stdout) as { apps: Json[] };
    assert.deepEqual(apps.map(({ name }) => String(name)).sort(), ['Demo (HS512)', 'Demo (RS256)']);
  });

  it('says which port is in use', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    for (const name of ['COUNTERSIGN_IDPROXY_PORT', 'COUNTERSIGN_ISSUER_PORT']) {
      const ended = await runCountersign(['start'], { [name]: String(port) });
      assertSays(ended.stderr, `port ${port} is in use`);
      assert.equal(ended.code, 1);
    }
  });

  it('ends with 0 on SIGTERM, after what is in flight', async (t) => {
    const process = await start(t, ['start']);
    const busy = await openRaw(process.issuerPort);
    const body = JSON.stringify({ identity: 'alice' });
    busy.send(
      `POST /users/sts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 3)}`,
    );
    // An answer on another connection: the first one has been read by then.
    assert.equal((await fetch(`${process.issuerUrl}/healthz`)).status, 200);
    process.signal('SIGTERM');
    await waitFor(() =>
      openRaw(process.issuerPort).then(
        ({ socket }) => (socket.destroy(), false),
        () => true,
      ),
    );
    busy.send(body.slice(3));
    assert.match(await busy.closed(), /200 OK[^]*\{"jwt":"/);
    assert.deepEqual(await process.exited, { code: 0, signal: null });
    assert.equal(process.stderr(), '');
  });

  it('speaks HTTPS with a certificate', async (t) => {
    const { cert, certFile, keyFile } = await createCertificate(t);
    const process = await start(t, ['start'], {
      COUNTERSIGN_TLS_CERT_FILE: certFile,
      COUNTERSIGN_TLS_KEY_FILE: keyFile,
    });
    assertSays(process.stdout(), process.issuerUrl, process.idproxyUrl);
    assert.match(process.issuerUrl, /^https:/);
    const script = `const r = await fetch('${process.issuerUrl}/users/sts', { method: 'POST', body: new URLSearchParams({ identity: 'a' }) }); console.log(r.status);`;
    const child = await startChild({
      command: globalThis.process.execPath,
      args: ['--input-type=module', '-e', script],
      cwd: '.',
      env: { NODE_EXTRA_CA_CERTS: certFile },
    });
    await child.exited;
    assert.equal(child.stdout(), '200\n', child.stderr());
    assert.ok(cert.length > 0);
  });

  it('does not start on a folder that it cannot write', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'file'), '');
    const ended = await runCountersign(['start'], { COUNTERSIGN_DATA_DIR: join(folder, 'file', 'data') });
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^countersign start: .*ENOTDIR/);
  });

  it('does not start with a master key that is none', async (t) => {
    const env = toFolders(await makeFolder(t));
    await mkdir(env.COUNTERSIGN_KEYS_DIR);
    await writeFile(join(env.COUNTERSIGN_KEYS_DIR, 'master.key'), 'S3CR3T\n');
    const ended = await runCountersign(['start'], env);
    assert.equal(ended.code, 1);
    assertSays(ended.stderr, 'must hold 32 bytes as base64url');
    assert.doesNotMatch(ended.stderr, /S3CR3T/);
  });

  it('of several at once on one folder makes one master key, one platform key and one admin token', async (t) => {
    const env = toFolders(await makeFolder(t));
    const starting = [1, 2, 3].map(() => startCountersign(['idproxy'], env));
    // Those that start, although another one does not.
    t.after(async () => {
      for (const one of await Promise.allSettled(starting)) if (one.status === 'fulfilled') await one.value.stop();
    });
    const processes = await Promise.all(starting);
    const tokens = processes.flatMap(({ stdout }) => readTokens(stdout()));
    assert.equal(tokens.length, 1);
    const keys = await Promise.all(
      processes.map(async ({ idproxyUrl }) => (await fetch(`${idproxyUrl}/.well-known/jwks.json`)).text()),
    );
    assert.equal(new Set(keys).size, 1);
    assert.equal((JSON.parse(keys[0] ?? '') as { keys: unknown[] }).keys.length, 1);
    const authorization = `Bearer ${tokens[0]}`;
    const made = await post(
      `${processes[0]?.idproxyUrl}/admin/apps`,
      { name: 'a', algorithm: 'HS256' },
      { authorization },
    );
    assert.equal(made.status, 201);
    for (const { idproxyUrl } of processes) {
      const shown = await fetch(`${idproxyUrl}/admin/apps/${String(made.body['clientId'])}`, {
        headers: { authorization },
      });
      assert.equal(shown.status, 200);
    }
    assert.deepEqual((await readdir(env.COUNTERSIGN_KEYS_DIR)).sort(), ['admin-token.sha256', 'master.key']);
  });
});
