import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, it, type TestContext } from 'node:test';

import {
  type Authority,
  BACKDATED_SECONDS,
  createAuthority,
  toGatewayUri,
} from '../../../../src/gateway/certificates/authority.ts';
import { waitUntilReady } from '../../../../src/stores/wait-until-ready.ts';
import { createVault } from '../../../../src/vault/vault.ts';
import { systemClock } from '../../../../src/core/clock.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { BACKENDS } from '../../../support/idproxy-under-test.ts';
import { KEYS, startOpenssl } from '../openssl.ts';

const DAY = 86_400;
const ID = 'cn-4ac1a8a2-5f09-4a6b-9d3f-0d7b4c2f1e55';
const WHOSE = { connectorId: ID, company: 'Bücher & Co, Ltd=#1' };
const vault = createVault(Buffer.alloc(32, 3));

async function openDocuments(t: TestContext, backend: keyof typeof BACKENDS = 'embedded') {
  const { store, end } = await BACKENDS[backend](createFakeClock(0));
  t.after(async () => {
    await store.close();
    await end();
  });
  await waitUntilReady(store, 5_000);
  return store.documents;
}

async function startAuthority(t: TestContext, clock = systemClock) {
  const documents = await openDocuments(t);
  const authority = await createAuthority({ documents, vault, clock })();
  return { documents, authority, openssl: await startOpenssl(t) };
}

describe('the authority', () => {
  it('signs what openssl takes as a client of it, and as nothing else', async (t) => {
    const { authority, openssl } = await startAuthority(t);
    await openssl.write('ca.crt', authority.caPem);
    for (const key of ['RSA 2048', 'P-256', 'P-384', 'P-521'] as const) {
      const { certificate } = await authority.sign(await openssl.request(KEYS[key]), WHOSE);
      await openssl.write('it.pem', certificate);
      const verify = (...args: string[]) =>
        openssl.run('verify', '-x509_strict', '-CAfile', 'ca.crt', ...args, 'it.pem');
      assert.equal(await verify('-purpose', 'sslclient'), 'it.pem: OK\n', key);
      for (const purpose of ['sslserver', 'smimesign', 'timestampsign']) {
        await assert.rejects(verify('-purpose', purpose), /unsuitable certificate purpose/i, purpose);
      }
    }
  });

  it('takes nothing over of what a request asks for but its key', async (t) => {
    const { authority, openssl } = await startAuthority(t);
    const asked = [
      'basicConstraints=critical,CA:TRUE',
      'keyUsage=keyCertSign,cRLSign',
      'extendedKeyUsage=serverAuth,codeSigning',
      'subjectAltName=DNS:gateway.example,URI:urn:countersign:connector:cn-other',
      'nsComment=asked for',
    ].flatMap((extension) => ['-addext', extension]);
    const csr = await openssl.request(KEYS['RSA 2048'], ...asked, '-subj', '/C=XX/O=Other/CN=cn-other');
    const { certificate, serial } = await authority.sign(csr, WHOSE);
    await openssl.write('it.pem', certificate);
    const text = await openssl.run('x509', '-in', 'it.pem', '-noout', '-text', '-nameopt', 'sep_multiline,utf8');
    const extensions = [...text.matchAll(/^ {12}(\S.*?): ?(critical)?\s*\n\s+(.*)$/gm)].map(([, ...parts]) =>
      parts.join('|'),
    );
    assert.deepEqual(extensions.slice(0, 4), [
      'X509v3 Basic Constraints|critical|CA:FALSE',
      'X509v3 Key Usage|critical|Digital Signature',
      'X509v3 Extended Key Usage||TLS Web Client Authentication',
      `X509v3 Subject Alternative Name||URI:urn:countersign:connector:${ID}`,
    ]);
    assert.deepEqual(
      extensions.slice(4).map((line) => line.split('|')[0]),
      ['X509v3 Subject Key Identifier', 'X509v3 Authority Key Identifier'],
    );
    assert.match(text, /Version: 3/);
    assert.doesNotMatch(text, /cn-other|gateway\.example|asked for|C=XX/);
    const subject = await openssl.run('x509', '-in', 'it.pem', '-noout', '-subject', '-nameopt', 'sep_multiline,utf8');
    assert.equal(subject, `subject=\n    O=${WHOSE.company}\n    CN=${ID}\n`);
    assert.equal(await openssl.run('x509', '-in', 'it.pem', '-noout', '-serial'), `serial=${serial.toUpperCase()}\n`);
    const key = await openssl.run('pkey', '-in', 'it.key', '-pubout');
    assert.equal(await openssl.run('x509', '-in', 'it.pem', '-noout', '-pubkey'), key);
  });

  it('gives each certificate a serial of its own, positive and 16 bytes long', async (t) => {
    const { authority, openssl } = await startAuthority(t);
    const csr = await openssl.request(KEYS['P-256']);
    const serials = new Set<string>();
    for (let count = 0; count < 30; count++) {
      const { serial, certificate } = await authority.sign(csr, WHOSE);
      assert.match(serial, /^[4-7][\da-f]{31}$/);
      assert.equal(new X509Certificate(certificate).serialNumber.toLowerCase(), serial);
      serials.add(serial);
    }
    assert.equal(serials.size, 30);
  });

  it('lets them begin five minutes ago and end after 90 days, or what was said, or with itself', async (t) => {
    const clock = createFakeClock(1_800_000_000.75);
    const { authority, openssl } = await startAuthority(t, clock);
    const csr = await openssl.request(KEYS['P-256']);
    const toTimes = ({ certificate }: { certificate: string }): number[] => {
      const { validFrom, validTo } = new X509Certificate(certificate);
      return [Date.parse(validFrom) / 1000, Date.parse(validTo) / 1000];
    };
    const now = 1_800_000_000;
    const pasted = await authority.sign(csr, WHOSE);
    assert.deepEqual(toTimes(pasted), [now - BACKDATED_SECONDS, now + 90 * DAY]);
    assert.deepEqual([pasted.issuedAt, pasted.expiresAt], [now, now + 90 * DAY]);
    const renewed = await authority.sign(csr, { ...WHOSE, lifetimeDays: 7 });
    assert.deepEqual(toTimes(renewed), [now - BACKDATED_SECONDS, now + 7 * DAY]);
    const end = toTimes({ certificate: authority.caPem })[1];
    assert.equal(end, now + 3_652 * DAY);
    clock.set(now + 3_650 * DAY);
    const last = await authority.sign(csr, WHOSE);
    assert.deepEqual([toTimes(last)[1], last.expiresAt], [end, end]);
  });

  it('is one that may sign certificates and no further authority', async (t) => {
    const { authority, openssl } = await startAuthority(t);
    await openssl.write('ca.crt', authority.caPem);
    const text = await openssl.run('x509', '-in', 'ca.crt', '-noout', '-text');
    assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    assert.match(text, /ASN1 OID: prime256v1/);
    assert.equal(await openssl.run('verify', '-x509_strict', '-CAfile', 'ca.crt', 'ca.crt'), 'ca.crt: OK\n');
  });

  for (const backend of ['embedded', 'redis'] as const) {
    it(`is the same for all that start together, and after a restart (${backend})`, async (t) => {
      const documents = await openDocuments(t, backend);
      const start = () => createAuthority({ documents, vault, clock: systemClock })();
      const all = await Promise.all(Array.from({ length: 8 }, start));
      assert.equal(new Set(all.map(({ caPem }) => caPem)).size, 1);
      assert.equal((await start()).caPem, all[0]?.caPem);
      const openssl = await startOpenssl(t);
      await openssl.write('ca.crt', all[0]?.caPem ?? '');
      for (const { sign } of all.slice(0, 3)) {
        await openssl.write('it.pem', (await sign(await openssl.request(KEYS['P-256']), WHOSE)).certificate);
        assert.match(await openssl.run('verify', '-CAfile', 'ca.crt', 'it.pem'), /OK/);
      }
    });
  }

  it('keeps its key sealed, and says so where it was sealed under another master key', async (t) => {
    const { documents } = await startAuthority(t);
    const [stored] = await documents.list('gateway-keys');
    assert.doesNotMatch(stored?.body ?? '', /PRIVATE/);
    const other = createAuthority({ documents, vault: createVault(Buffer.alloc(32, 4)), clock: systemClock });
    await assert.rejects(other(), /another master key: bring back that master\.key/);
    for (const body of ['{', '{}', '{"certificate":1,"sealedKey":""}']) {
      const { revision } = (await documents.get('gateway-keys', stored?.id ?? '')) ?? { revision: 0 };
      assert.ok(await documents.update('gateway-keys', stored?.id ?? '', body, revision));
      const broken = createAuthority({ documents, vault, clock: systemClock });
      await assert.rejects(broken(), /the stored authority cannot be read/, body);
    }
  });

  it('is asked for again after it could not be loaded', async (t) => {
    const documents = await openDocuments(t);
    let isDown = true;
    const get: typeof documents.get = async (...args) => {
      if (isDown) throw new Error('away');
      return documents.get(...args);
    };
    const authority = createAuthority({ documents: { ...documents, get }, vault, clock: systemClock });
    await assert.rejects(authority(), /away/);
    isDown = false;
    assert.equal(await authority(), await authority());
  });
});

describe("a gateway's certificate", () => {
  it('is for its names and addresses, this machine, and its node', async (t) => {
    const { authority } = await startAuthority(t);
    const identity = await authority.issueServer('node-1', [
      'gateway.example',
      '*.internal.example',
      '192.0.2.7',
      '2001:db8::7',
      'localhost',
    ]);
    const certificate = new X509Certificate(identity.certificate);
    assert.deepEqual((certificate.subjectAltName ?? '').split(', '), [
      'DNS:gateway.example',
      'DNS:*.internal.example',
      'IP Address:192.0.2.7',
      'IP Address:2001:DB8:0:0:0:0:0:7',
      'DNS:localhost',
      'IP Address:127.0.0.1',
      'IP Address:0:0:0:0:0:0:0:1',
      `URI:${toGatewayUri('node-1')}`,
    ]);
    assert.equal(certificate.ca, false);
    assert.equal(String(identity.key), '[secret]');
  });

  for (const name of [
    '',
    'https://gateway.example',
    'gateway.example:8443',
    'a b',
    'gateway..example',
    '-a.example',
    '300.1.1.1',
    'a*.example',
    `${'a'.repeat(64)}.example`,
    'x\n',
  ]) {
    it(`is not made for ${JSON.stringify(name)}`, async (t) => {
      const { authority } = await startAuthority(t);
      await assert.rejects(authority.issueServer('node-1', [name]), /is no host name and no address/);
    });
  }

  const shake = async (t: TestContext, authority: Authority, client: object, minVersion: 'TLSv1.2' | 'TLSv1.3') => {
    const { key, certificate, ca } = await authority.issueServer('node-1', []);
    const server = createServer(
      { key: key.reveal(), cert: certificate, ca, requestCert: true, rejectUnauthorized: true, minVersion },
      (socket) => socket.end(socket.getPeerCertificate().serialNumber),
    ).on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...client });
    t.after(() => socket.destroy());
    let text = '';
    try {
      for await (const chunk of socket) text += String(chunk);
    } catch {
      return 'refused';
    }
    // A server that closes at once may be seen as a plain end.
    return text.toLowerCase() || 'refused';
  };

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`shakes hands with a connector, and with no other client (${version})`, async (t) => {
      const { authority, openssl } = await startAuthority(t);
      const { certificate, serial } = await authority.sign(await openssl.request(KEYS['RSA 2048']), WHOSE);
      const key = await readFile(join(openssl.folder, 'it.key'), 'utf8');
      const versions = { minVersion: version, maxVersion: version };
      assert.equal(await shake(t, authority, { key, cert: certificate, ...versions }, version), serial);
      await openssl.run('req', '-x509', '-in', 'it.csr', '-key', 'it.key', '-out', 'self.pem');
      const cert = await readFile(join(openssl.folder, 'self.pem'), 'utf8');
      assert.equal(await shake(t, authority, { key, cert, ...versions }, version), 'refused');
      assert.equal(await shake(t, authority, versions, version), 'refused');
    });
  }

  it('is good for a client, too: gateways call each other', async (t) => {
    const { authority } = await startAuthority(t);
    const { key, certificate } = await authority.issueServer('node-2', []);
    const serial = await shake(t, authority, { key: key.reveal(), cert: certificate }, 'TLSv1.3');
    assert.equal(serial, new X509Certificate(certificate).serialNumber.toLowerCase());
  });
});
