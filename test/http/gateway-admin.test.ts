import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../src/core/json.ts';
import { sha256Hex } from '../../src/core/secret.ts';
import { startChild } from '../support/child.ts';
import { BACKENDS, seedsError } from '../support/idproxy-under-test.ts';
import { KEYS, startOpenssl } from '../unit/gateway/openssl.ts';
import { type GatewayAdminUnderTest, startGatewayAdmin } from './gateway-admin-under-test.ts';

const NOBODY = 'cn-00000000-0000-4000-8000-000000000000';

for (const backend of Object.keys(BACKENDS) as (keyof typeof BACKENDS)[]) {
  it(`a connector goes the way of the seed on the ${backend} store`, async (t) => {
    const { send, store } = await startGatewayAdmin(t, { backend });
    const openssl = await startOpenssl(t);
    const created = await send('POST', '/admin/connectors', { name: 'Intranet', description: 'CRM' });
    assert.equal(created.status, 201);
    const { id, opensslCommand, ...rest } = created.body;
    assert.equal(created.headers.get('location'), `/admin/connectors/${id}`);
    assert.deepEqual(
      { ...rest, createdAt: 0, updatedAt: 0 },
      {
        name: 'Intranet', description: 'CRM', company: 'default', enabled: false, status: 'DISCONNECTED',
        lastConnectedAt: null, instances: [], certificates: [], createdAt: 0, updatedAt: 0,
      },
    ); // prettier-ignore

    // The command is pasted into a shell in the folder `credentials`.
    const shell = await startChild({ command: 'sh', args: ['-c', opensslCommand as string], cwd: openssl.folder });
    assert.equal((await shell.exited).code, 0, shell.stderr());
    const csr = await readFile(join(openssl.folder, 'Kore.aiConnector.csr'), 'utf8');
    assert.equal((await stat(join(openssl.folder, 'Kore.aiConnector.key'))).mode & 0o077, 0);
    const certified = await send('POST', `/admin/connectors/${id}/certificate`, { csr });
    assert.equal(certified.status, 200, certified.text);
    await openssl.write('Kore.aiConnectorCert.pem', certified.body.certificate as string);
    await openssl.write('ca.crt', certified.body.ca as string);
    const verified = await openssl.run(
      'verify',
      '-purpose',
      'sslclient',
      '-CAfile',
      'ca.crt',
      'Kore.aiConnectorCert.pem',
    );
    assert.equal(verified, 'Kore.aiConnectorCert.pem: OK\n');
    const key = await openssl.run('pkey', '-in', 'Kore.aiConnector.key', '-pubout');
    assert.equal(await openssl.run('x509', '-in', 'Kore.aiConnectorCert.pem', '-noout', '-pubkey'), key);
    const parsed = new X509Certificate(certified.body.certificate as string);
    assert.equal(parsed.serialNumber.toLowerCase(), certified.body.serial);
    assert.equal(new Date(parsed.validTo).toISOString(), certified.body.expiresAt);

    const agent = { connector: id, instance: 'i-1', worker: 1, hostname: 'dmz-1', version: '1.0.0' };
    await store.presence.announce(
      'gateway:gw-1',
      JSON.stringify({
        address: '127.0.0.1:1',
        load: 0,
        agents: [
          { ...agent, connectedAt: 1_800_000_000 },
          { ...agent, connector: NOBODY, connectedAt: 5 },
        ],
      }),
      60_000,
    );
    await store.presence.announce('gateway:gw-2', '{"agents":5}', 60_000);
    await store.presence.announce(`seen:${id}`, '{"at":1700000000}', 60_000);
    const connected = await send('GET', `/admin/connectors/${id}`);
    assert.equal(connected.body.status, 'CONNECTED');
    assert.equal(connected.body.lastConnectedAt, '2027-01-15T08:00:00.000Z');
    assert.deepEqual(connected.body.instances, [
      {
        node: 'gw-1',
        instance: 'i-1',
        worker: 1,
        hostname: 'dmz-1',
        version: '1.0.0',
        connectedAt: '2027-01-15T08:00:00.000Z',
      },
    ]);
    await store.presence.withdraw('gateway:gw-1');
    const [listed] = (await send('GET', '/admin/connectors')).body.connectors;
    assert.deepEqual([listed.status, listed.lastConnectedAt], ['DISCONNECTED', '2023-11-14T22:13:20.000Z']);

    const enabled = await send('POST', `/admin/connectors/${id}/enable`);
    assert.deepEqual([enabled.status, enabled.body.enabled], [200, true]);
    const other = (await send('POST', '/admin/connectors')).body.id as string;
    assert.equal((await send('POST', `/admin/connectors/${other}/enable`)).body.enabled, true);
    assert.equal((await send('GET', `/admin/connectors/${id}`)).body.enabled, false);
    assert.equal((await send('POST', `/admin/connectors/${other}/disable`)).body.enabled, false);
    const third = await send('POST', '/admin/connectors', {});
    assert.equal(third.status, 409);
    assert.deepEqual(third.body, seedsError(409, 'a company may have 2 connectors'));

    const { serial } = certified.body;
    const revoked = await send('POST', `/admin/connectors/${id}/certificates/${serial.toUpperCase()}/revoke`);
    assert.equal(revoked.status, 200);
    assert.ok(Date.parse(revoked.body.certificates[0].revokedAt as string) > 0);
    assert.equal((await send('DELETE', `/admin/connectors/${id}`)).status, 204);
    assert.equal((await send('GET', `/admin/connectors/${id}`)).status, 404);
  });
}

describe('the admin API of the gateway', () => {
  const REFUSED: Readonly<
    Record<string, { readonly path: string; readonly body: JsonObject; readonly says: RegExp; method?: string }>
  > = {
    'an empty name': { path: '', body: { name: ' ' }, says: /"name" must have at least 1/ },
    'a name of control characters': { path: '', body: { name: 'a\u0000b' }, says: /"name" has characters/ },
    'a name that is no text': { path: '', body: { name: 5 }, says: /"name" must be a string/ },
    'a name that is too long': { path: '', body: { name: 'x'.repeat(129) }, says: /"name" must have at most 128/ },
    'a description that is too long': { path: '', body: { description: 'x'.repeat(1_025) }, says: /"description"/ },
    'an empty company': { path: '', body: { company: '' }, says: /"company"/ },
    'a company that no certificate could name': { path: '', body: { company: 'x'.repeat(65) }, says: /"company"/ },
    'an unknown member': { path: '', body: { enabled: true }, says: /"enabled" is not known here/ },
    'another company': { path: '/:id', method: 'PATCH', body: { company: 'x' }, says: /"company" is not known here/ },
    'no request': { path: '/:id/certificate', body: {}, says: /"csr" is missing/ },
    'a request that is none': { path: '/:id/certificate', body: { csr: 'x' }, says: /"csr" must be PEM text/ },
    'a request that is too long': {
      path: '/:id/certificate',
      body: { csr: 'x'.repeat(20_000) },
      says: /"csr" must have at most/,
    },
    'a request and extensions': {
      path: '/:id/certificate',
      body: { csr: 'x', lifetimeDays: 9 },
      says: /"lifetimeDays"/,
    },
  };
  for (const [name, { path, body, says, method = 'POST' }] of Object.entries(REFUSED)) {
    it(`refuses ${name}`, async (t) => {
      const { send, create } = await startGatewayAdmin(t);
      const answer = await send(method, `/admin/connectors${path.replace(':id', path && (await create()))}`, body);
      assert.equal(answer.status, 400, answer.text);
      assert.match(answer.body.errors[0].msg as string, says);
    });
  }

  it('does not say a word of a private key that was pasted', async (t) => {
    const { send, create, lines } = await startGatewayAdmin(t);
    const openssl = await startOpenssl(t);
    await openssl.request(KEYS['P-256']);
    const csr = await readFile(join(openssl.folder, 'it.key'), 'utf8');
    const answer = await send('POST', `/admin/connectors/${await create()}/certificate`, { csr });
    assert.equal(answer.status, 400);
    assert.match(answer.body.errors[0].msg as string, /holds a private key/);
    const secret = csr.split('\n')[1] ?? '';
    assert.ok(secret.length > 20 && !answer.text.includes(secret) && !JSON.stringify(lines()).includes(secret));
  });

  it('is for the admin alone', async (t) => {
    const { send } = await startGatewayAdmin(t);
    for (const path of [
      '/admin/connectors',
      `/admin/connectors/${NOBODY}/package`,
      '/admin/callers',
      `/admin/callers/x`,
    ]) {
      assert.equal((await send('GET', path, undefined, { authorization: 'Bearer nonsense' })).status, 401, path);
    }
  });

  it('hands out the package of a connector', async (t) => {
    const { url, send, create, orders, admin, lines } = await startGatewayAdmin(t);
    const id = await create();
    const answer = await fetch(`${url}/admin/connectors/${id}/package?os=windows`, {
      headers: { authorization: 'Bearer the-admin-token-of-the-tests-000' },
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), Buffer.from([0, 255, 1]));
    assert.equal(answer.headers.get('content-type'), 'application/gzip');
    assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="agent-1.0.0.tar.gz"');
    await send('GET', `/admin/connectors/${id}/package`);
    const { caPem } = await admin.authority();
    const addition = { connectorId: id, caPem, gatewayUrls: ['https://gateway.example:8443'] };
    assert.deepEqual(orders, [
      { os: 'windows', addition },
      { os: 'linux', addition },
    ]);
    assert.equal(lines().filter(({ act }) => act === 'connector package handed out').length, 2);
    for (const query of ['os=mac', 'os=linux&os=windows', 'arch=arm']) {
      assert.equal((await send('GET', `/admin/connectors/${id}/package?${query}`)).status, 400, query);
    }
    assert.equal((await send('GET', `/admin/connectors/${NOBODY}/package`)).status, 404);
    assert.equal(orders.length, 2);
  });

  it('shows the token of a caller once, and never logs it', async (t) => {
    const { send, create, store, lines } = await startGatewayAdmin(t);
    const connectors = [await create()];
    const created = await send('POST', '/admin/callers', { name: 'Bots', connectors });
    assert.equal(created.status, 201, created.text);
    const { token, ...view } = created.body as { token: string; id: string };
    assert.match(token, /^csc_[\w-]{43}$/);
    assert.equal(created.headers.get('location'), `/admin/callers/${view.id}`);
    const listed = await send('GET', '/admin/callers');
    assert.deepEqual(listed.body, { callers: [view] });
    const [stored] = await store.documents.list('callers');
    assert.match(stored?.body ?? '', new RegExp(sha256Hex(token)));
    assert.ok(![stored?.body, listed.text, JSON.stringify(lines())].some((text) => text?.includes(token)));
    assert.equal((await send('DELETE', `/admin/callers/${view.id}`)).status, 204);
    const again = await send('DELETE', `/admin/callers/${view.id}`);
    assert.deepEqual([again.status, again.body], [404, seedsError(404, 'there is no such caller')]);
  });

  for (const [name, body] of Object.entries<JsonObject>({
    'no name': {},
    'connectors that do not exist': { name: 'Bots', connectors: [NOBODY] },
    'connectors that are no ids': { name: 'Bots', connectors: ['x'] },
    'an empty list': { name: 'Bots', connectors: [] },
    'too many connectors': { name: 'Bots', connectors: Array.from({ length: 101 }, () => NOBODY) },
    'a token of its own': { name: 'Bots', token: 'x' },
  })) {
    it(`refuses a caller with ${name}`, async (t) => {
      const { send } = await startGatewayAdmin(t);
      assert.equal((await send('POST', '/admin/callers', body)).status, 400);
      assert.deepEqual((await send('GET', '/admin/callers')).body, { callers: [] });
    });
  }

  it('logs who did what', async (t) => {
    const { send, create, lines } = await startGatewayAdmin(t);
    const csr = await (await startOpenssl(t)).request(KEYS['P-256']);
    const id = await create();
    await send('PATCH', `/admin/connectors/${id}`, { name: 'x' });
    const { serial } = (await send('POST', `/admin/connectors/${id}/certificate`, { csr })).body;
    for (const act of ['enable', 'disable']) await send('POST', `/admin/connectors/${id}/${act}`);
    await send('POST', `/admin/connectors/${id}/certificates/${serial}/revoke`);
    await send('DELETE', `/admin/connectors/${id}`);
    const acts = lines()
      .filter(({ msg }) => msg === 'admin act')
      .map(({ act, connectorId, serial: of }) => [act, connectorId, of]);
    assert.deepEqual(acts, [
      ['connector created', id, undefined],
      ['connector updated', id, undefined],
      ['certificate signed', id, serial],
      ['connector enabled', id, undefined],
      ['connector disabled', id, undefined],
      ['certificate revoked', id, serial],
      ['connector deleted', id, undefined],
    ]);
  });

  const calls = async ({ send }: Pick<GatewayAdminUnderTest, 'send'>, id: string): Promise<number[]> =>
    Promise.all(
      [
        ['GET', ''],
        ['PATCH', '', { name: 'x' }],
        ['DELETE', ''],
        ['POST', '/enable'],
        ['POST', '/disable'],
        ['POST', '/certificate', { csr: 'x' }],
        ['POST', '/certificates/ff/revoke'],
        ['GET', '/package'],
      ].map(
        async ([method, path, body]) =>
          (await send(method as string, `/admin/connectors/${id}${path as string}`, body as JsonObject | undefined))
            .status,
      ),
    );
  for (const id of [NOBODY, 'x', 'company:x', '__proto__', 'cn-%20']) {
    it(`knows no connector ${id}`, async (t) => {
      assert.deepEqual(
        await calls(await startGatewayAdmin(t), id),
        Array.from({ length: 8 }, () => 404),
      );
    });
  }
});
