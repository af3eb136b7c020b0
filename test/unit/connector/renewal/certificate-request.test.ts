import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createKeyAndRequest } from '../../../../src/connector/renewal/certificate-request.ts';
import { parseCertificateRequest } from '../../../../src/gateway/certificates/certificate-request.ts';
import { KEYS, startOpenssl } from '../../gateway/openssl.ts';

/** Keys in use, and what openssl says of the key that follows. */
const kinds: Record<string, [key: keyof typeof KEYS, RegExp]> = {
  'RSA of 2048 bits': ['RSA 2048', /RSA Public-Key: \(2048 bit\)|Public-Key: \(2048 bit\)/],
  'RSA of 1024 bits, which becomes 2048': ['RSA 1024', /Public-Key: \(2048 bit\)/],
  'P-256': ['P-256', /ASN1 OID: prime256v1/],
  'P-384': ['P-384', /ASN1 OID: secp384r1/],
  'P-521': ['P-521', /ASN1 OID: secp521r1/],
  'Ed25519, which becomes P-256': ['Ed25519', /ASN1 OID: prime256v1/],
};

describe('the request for a new key', () => {
  for (const [what, [kind, shown]] of Object.entries(kinds)) {
    it(`is one by openssl and by the gateway: ${what}`, async (t) => {
      const openssl = await startOpenssl(t);
      await openssl.request(KEYS[kind]);
      const former = await readFile(join(openssl.folder, 'it.key'), 'utf8');
      const { key, csr } = await createKeyAndRequest(former, 'cn-1');
      await openssl.write('new.csr', csr);
      await openssl.write('new.key', key);
      const text = await openssl.run('req', '-in', 'new.csr', '-verify', '-noout', '-text');
      assert.match(text, shown);
      assert.match(text, /Subject: CN ?= ?cn-1/);
      const publicKey = await openssl.run('req', '-in', 'new.csr', '-noout', '-pubkey');
      assert.equal(publicKey, await openssl.run('pkey', '-in', 'new.key', '-pubout'));
      assert.notEqual(publicKey, await openssl.run('pkey', '-in', 'it.key', '-pubout'));
      assert.ok((await parseCertificateRequest(csr)).publicKey.length > 0);
    });
  }
});
