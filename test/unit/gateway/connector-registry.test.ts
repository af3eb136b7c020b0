import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { AppError, type ErrorCode } from '../../../src/core/errors.ts';
import { MAX_CERTIFICATES } from '../../../src/gateway/connector-certificates.ts';
import { toCompanyId } from '../../../src/gateway/connector-documents.ts';
import { connectorRequest } from '../../../src/gateway/schemas.ts';
import type { DocumentStore } from '../../../src/stores/ports.ts';
import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { KEYS, startOpenssl } from './openssl.ts';
import { NOW, startRegistries } from './registries-under-test.ts';

const DAY = 86_400;
const NOBODY = 'cn-00000000-0000-4000-8000-000000000000';

const failsWith = (code: ErrorCode) => (error: unknown) => error instanceof AppError && error.code === code;

/** Documents of which somebody else changes one between each read and the write that follows. */
const contend = (documents: DocumentStore): DocumentStore => ({
  ...documents,
  get: async (collection, id) => {
    const document = await documents.get(collection, id);
    if (document) await documents.update(collection, id, document.body, document.revision);
    return document;
  },
});

for (const backend of Object.keys(BACKENDS) as (keyof typeof BACKENDS)[]) {
  describe(`connectors on the ${backend} store`, () => {
    let csr = '';
    before(async () => {
      csr = await (await startOpenssl({ after })).request(KEYS['P-256']);
    });

    it('are registered, listed, changed and deleted', async (t) => {
      const { connectors, create, clock } = await startRegistries(t, { backend });
      const first = await create();
      assert.match(first.id, /^cn-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
      const times = { createdAt: NOW, updatedAt: NOW };
      const company = 'default';
      const plain = { description: '', company, enabled: false, certificates: [], ...times };
      assert.deepEqual(first, { id: first.id, name: 'Connector', ...plain });
      clock.set(NOW + 5);
      const second = await create({ name: ' Intranet ', description: 'CRM', company: 'Bücher/../*' });
      assert.deepEqual(
        (await connectors.list()).map(({ id }) => id),
        [first.id, second.id],
      );
      assert.deepEqual(await connectors.get(second.id), second);
      assert.deepEqual([second.name, second.description, second.company], ['Intranet', 'CRM', 'Bücher/../*']);
      clock.set(NOW + 9);
      const changed = await connectors.update(first.id, { description: 'x' });
      assert.deepEqual(changed, { ...first, description: 'x', updatedAt: NOW + 9 });
      await connectors.remove(first.id);
      assert.deepEqual(
        (await connectors.list()).map(({ id }) => id),
        [second.id],
      );
      await assert.rejects(connectors.remove(first.id), failsWith('connector_not_found'));
    });

    it('are at most as many as a company may have, however many ask at once', async (t) => {
      const { connectors, again, create } = await startRegistries(t, { backend });
      const registries = [connectors, again()];
      const request = connectorRequest.parse({ company: 'one' });
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => (registries[index % 2] ?? connectors).create(request)),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 2);
      for (const result of results) {
        if (result.status === 'rejected') assert.ok(failsWith('connector_limit')(result.reason), String(result.reason));
      }
      assert.equal((await connectors.list()).length, 2);
      await create({ company: 'another' });
      const one = (await connectors.list()).find(({ company }) => company === 'one');
      await connectors.remove(one?.id ?? '');
      await create({ company: 'one' });
      await assert.rejects(create({ company: 'one' }), failsWith('connector_limit'));
    });

    it('leave nothing behind where one is refused', async (t) => {
      const { documents, create } = await startRegistries(t, { backend, connectorsPerCompany: 1 });
      await create();
      const results = await Promise.allSettled([
        create(),
        create(),
        create({ company: 'b' }),
        create({ company: 'b' }),
      ]);
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      const ids = (await documents.list('connectors')).map(({ id }) => id.slice(0, 3));
      assert.deepEqual(ids.sort(), ['cn-', 'cn-', 'com', 'com']);
    });

    it('are enabled one at a time, however many ask at once', async (t) => {
      const { connectors, again, create } = await startRegistries(t, { backend, connectorsPerCompany: 8 });
      const other = await create({ company: 'other' });
      await connectors.enable(other.id);
      const all = await Promise.all(Array.from({ length: 8 }, () => create()));
      const registries = [connectors, again()];
      await Promise.all(all.map(({ id }, index) => (registries[index % 2] ?? connectors).enable(id)));
      const enabled = (await connectors.list()).filter((one) => one.enabled).map(({ company }) => company);
      assert.deepEqual(enabled.sort(), ['default', 'other']);
      const [first, second] = all;
      assert.equal((await connectors.enable(first?.id ?? '')).enabled, true);
      // Of one that is not enabled nothing is taken away.
      assert.equal((await connectors.disable(second?.id ?? '')).enabled, false);
      assert.equal((await connectors.get(first?.id ?? '')).enabled, true);
      assert.equal((await connectors.disable(first?.id ?? '')).enabled, false);
      await connectors.enable(first?.id ?? '');
      await connectors.remove(first?.id ?? '');
      assert.deepEqual(
        (await connectors.list()).filter((one) => one.enabled).map(({ id }) => id),
        [other.id],
      );
    });

    it('have several certificates, one for each request', async (t) => {
      const { connectors, authority, create, clock } = await startRegistries(t, { backend });
      const { id } = await create({ company: 'Bücher' });
      const first = await connectors.addCertificate(id, csr);
      clock.set(NOW + 100);
      const second = await connectors.addCertificate(id, csr);
      assert.equal(first.ca, (await authority()).caPem);
      const { certificates, updatedAt } = await connectors.get(id);
      assert.deepEqual(certificates, [
        { serial: first.serial, issuedAt: NOW, expiresAt: NOW + 90 * DAY },
        { serial: second.serial, issuedAt: NOW + 100, expiresAt: NOW + 100 + 90 * DAY },
      ]);
      assert.equal(updatedAt, NOW + 100);
      const { subject, subjectAltName } = new X509Certificate(second.certificate);
      assert.deepEqual([subject, subjectAltName], [`O=Bücher\nCN=${id}`, `URI:urn:countersign:connector:${id}`]);
      await assert.rejects(connectors.addCertificate(id, 'x'), failsWith('invalid_request'));
    });

    it('lose no certificate where many are asked for at once', async (t) => {
      const { connectors, again, create } = await startRegistries(t, { backend });
      const { id } = await create();
      const registries = [connectors, again()];
      const certified = await Promise.all(
        Array.from({ length: 12 }, (_, index) => (registries[index % 2] ?? connectors).addCertificate(id, csr)),
      );
      const { certificates } = await connectors.get(id);
      assert.deepEqual(certificates.map(({ serial }) => serial).sort(), certified.map(({ serial }) => serial).sort());
    });

    it('renew with a valid certificate alone, and keep it', async (t) => {
      const { connectors, create, clock } = await startRegistries(t, { backend });
      const { id } = await create();
      const other = await create();
      const { serial } = await connectors.addCertificate(id, csr);
      const foreign = await connectors.addCertificate(other.id, csr);
      const renewed = await connectors.renewCertificate(id, serial.toUpperCase(), csr);
      assert.equal(renewed.expiresAt, NOW + 45 * DAY);
      const { certificates } = await connectors.get(id);
      assert.deepEqual(
        certificates.map((one) => [one.serial, 'renewedFrom' in one && one.renewedFrom]),
        [
          [serial, false],
          [renewed.serial, serial],
        ],
      );
      for (const wrong of [foreign.serial, '', 'ff']) {
        await assert.rejects(connectors.renewCertificate(id, wrong, csr), failsWith('credential_invalid'), wrong);
      }
      clock.set(NOW + 45 * DAY);
      await assert.rejects(connectors.renewCertificate(id, renewed.serial, csr), failsWith('credential_invalid'));
      await connectors.renewCertificate(id, serial, csr);
    });

    it('lose with a revoked certificate all that were renewed from it, and no other', async (t) => {
      const { connectors, create, clock } = await startRegistries(t, { backend });
      const { id } = await create();
      const { serial: kept } = await connectors.addCertificate(id, csr);
      const { serial: stolen } = await connectors.addCertificate(id, csr);
      const { serial: child } = await connectors.renewCertificate(id, stolen, csr);
      clock.set(NOW + 44 * DAY);
      const { serial: grandchild } = await connectors.renewCertificate(id, child, csr);
      // The one between is over, and forgotten it would break the link.
      clock.set(NOW + 80 * DAY);
      await connectors.addCertificate(id, csr);
      const { certificates } = await connectors.revokeCertificate(id, stolen.toUpperCase());
      const revoked = certificates.filter(({ revokedAt }) => revokedAt === NOW + 80 * DAY).map(({ serial }) => serial);
      assert.deepEqual(revoked.sort(), [stolen, child, grandchild].sort());
      await assert.rejects(connectors.renewCertificate(id, grandchild, csr), failsWith('credential_invalid'));
      await connectors.renewCertificate(id, kept, csr);
      clock.set(NOW + 81 * DAY);
      const twice = await connectors.revokeCertificate(id, stolen);
      assert.equal(twice.certificates.find(({ serial }) => serial === stolen)?.revokedAt, NOW + 80 * DAY);
      await assert.rejects(connectors.revokeCertificate(id, 'ff'), failsWith('certificate_not_found'));
    });

    it('never renew past a revocation that comes between', async (t) => {
      const { connectors, documents, again, create } = await startRegistries(t, { backend });
      const { id } = await create();
      const { serial } = await connectors.addCertificate(id, csr);
      let isRevoked = false;
      const update: DocumentStore['update'] = async (...args) => {
        if (!isRevoked) {
          isRevoked = true;
          await connectors.revokeCertificate(id, serial);
        }
        return documents.update(...args);
      };
      const racing = again({ ...documents, update }).renewCertificate(id, serial, csr);
      await assert.rejects(racing, failsWith('credential_invalid'));
      assert.equal((await connectors.get(id)).certificates.length, 1);
    });

    it('say who was faster', async (t) => {
      const { documents, again, create } = await startRegistries(t, { backend });
      const { id } = await create();
      const contended = again(contend(documents));
      await assert.rejects(contended.update(id, { name: 'x' }), failsWith('connector_conflict'));
      await assert.rejects(contended.enable(id), failsWith('connector_conflict'));
    });
  });
}

describe('a connector', () => {
  const acts: Readonly<
    Record<string, (c: Awaited<ReturnType<typeof startRegistries>>['connectors'], id: string) => Promise<unknown>>
  > = {
    get: (connectors, id) => connectors.get(id),
    update: (connectors, id) => connectors.update(id, { name: 'x' }),
    enable: (connectors, id) => connectors.enable(id),
    disable: (connectors, id) => connectors.disable(id),
    remove: (connectors, id) => connectors.remove(id),
    addCertificate: (connectors, id) => connectors.addCertificate(id, ''),
    renewCertificate: (connectors, id) => connectors.renewCertificate(id, 'ff', ''),
    revokeCertificate: (connectors, id) => connectors.revokeCertificate(id, 'ff'),
  };
  for (const [name, act] of Object.entries(acts)) {
    it(`that is none is not found: ${name}`, async (t) => {
      const { connectors, documents, create } = await startRegistries(t);
      const { id, company, ...stored } = await create();
      // What a registration that was cut off leaves: no company lists it.
      const { enabled: _, ...unlisted } = { ...stored, company };
      assert.ok(await documents.insert('connectors', NOBODY, JSON.stringify(unlisted)));
      for (const nobody of ['cn-nobody', NOBODY, '', toCompanyId(company), '__proto__', `${id} `]) {
        await assert.rejects(act(connectors, nobody), failsWith('connector_not_found'), nobody);
      }
      assert.equal((await connectors.list()).length, 1);
    });
  }

  it('that cannot be read takes no other with it', async (t) => {
    const { connectors, documents, problems, create } = await startRegistries(t);
    const broken = await create();
    const whole = await create();
    assert.ok(await documents.update('connectors', broken.id, '{"name":1}', 1));
    assert.deepEqual(
      (await connectors.list()).map(({ id }) => id),
      [whole.id],
    );
    assert.deepEqual(problems, [`the stored connector ${broken.id} cannot be read`]);
    await assert.rejects(connectors.get(broken.id), failsWith('internal'));
  });

  it('has a bounded number of valid certificates', async (t) => {
    const openssl = await startOpenssl(t);
    const csr = await openssl.request(KEYS['P-256']);
    const { connectors, documents, create, clock } = await startRegistries(t);
    const { id } = await create();
    const document = await documents.get('connectors', id);
    const many = Array.from({ length: MAX_CERTIFICATES }, (_, index) => ({
      serial: index.toString(16).padStart(32, '0'),
      issuedAt: NOW - index,
      expiresAt: NOW + DAY,
    }));
    const body = JSON.stringify({ ...JSON.parse(document?.body ?? '{}'), certificates: many });
    assert.ok(await documents.update('connectors', id, body, 1));
    await assert.rejects(connectors.addCertificate(id, csr), failsWith('certificate_limit'));
    await assert.rejects(connectors.renewCertificate(id, many[0]?.serial ?? '', csr), failsWith('certificate_limit'));
    await connectors.revokeCertificate(id, many[5]?.serial ?? '');
    await connectors.addCertificate(id, csr);
    await assert.rejects(connectors.addCertificate(id, csr), failsWith('certificate_limit'));
    clock.set(NOW + 200 * DAY);
    const { serial } = await connectors.addCertificate(id, csr);
    assert.deepEqual(
      (await connectors.get(id)).certificates.map((one) => one.serial),
      [serial],
    );
  });
});
