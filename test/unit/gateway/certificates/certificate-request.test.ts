import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { AppError } from '../../../../src/core/errors.ts';
import { MAX_CSR_LENGTH, parseCertificateRequest } from '../../../../src/gateway/certificates/certificate-request.ts';
import { KEYS, type Openssl, startOpenssl } from '../openssl.ts';

type Create = (openssl: Openssl) => Promise<string>;

const toDer = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
const toPem = (der: Buffer, label = 'CERTIFICATE REQUEST'): string =>
  `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;
const good: Create = (openssl) => openssl.request(KEYS['P-256']);

/** The request with one character of its subject changed: still well-formed, and not signed any more. */
const tamper: Create = async (openssl) => {
  const der = toDer(await openssl.request(KEYS['P-256'], '-subj', '/CN=connector'));
  const at = der.indexOf('connector');
  der.write('C', at);
  return toPem(der);
};

const ACCEPTED: Readonly<Record<string, Create>> = {
  'RSA 2048': (openssl) => openssl.request(KEYS['RSA 2048']),
  'RSA 2048, SHA-512': (openssl) => openssl.request(KEYS['RSA 2048'], '-sha512'),
  'RSA-PSS signature': (openssl) => openssl.request(KEYS['RSA 2048'], '-sigopt', 'rsa_padding_mode:pss'),
  'P-256': good,
  'P-384': (openssl) => openssl.request(KEYS['P-384']),
  'P-521': (openssl) => openssl.request(KEYS['P-521'], '-sha384'),
  'with its text before it': (openssl) => openssl.request(KEYS['P-256'], '-text'),
  'with the older label': (openssl) => openssl.request(KEYS['P-256'], '-newhdr'),
  'with carriage returns': async (openssl) => (await good(openssl)).replaceAll('\n', '\r\n'),
  'pasted into one line': async (openssl) => (await good(openssl)).replaceAll('\n', ' '),
  'with blanks around it': async (openssl) => `\uFEFF\n\n  ${await good(openssl)}\n\t`,
  'without a subject': (openssl) => openssl.request(KEYS['P-256'], '-subj', '/'),
};

const REFUSED: Readonly<Record<string, { readonly create: Create; readonly says: RegExp }>> = {
  nothing: { create: async () => '', says: /must be PEM text/ },
  'another text': { create: async () => 'hello', says: /must be PEM text/ },
  'Base64 without its frame': {
    create: async (o) => toDer(await good(o)).toString('base64'),
    says: /must be PEM text/,
  },
  DER: { create: async (o) => toDer(await good(o)).toString('latin1'), says: /must be PEM text/ },
  'a private key': {
    create: async (o) => (await good(o), readFile(join(o.folder, 'it.key'), 'utf8')),
    says: /private key/,
  },
  'a request with its private key': {
    create: async (o) => (await good(o)) + (await readFile(join(o.folder, 'it.key'), 'utf8')),
    says: /private key/,
  },
  'a certificate': {
    create: async (o) => (await good(o), o.run('req', '-x509', '-in', 'it.csr', '-key', 'it.key')),
    says: /this is a "certificate"/,
  },
  'two requests': { create: async (o) => (await good(o)) + (await good(o)), says: /one PEM block/ },
  'a request cut in its middle': { create: async (o) => (await good(o)).slice(0, 200), says: /ends too early/ },
  'another end': {
    create: async (o) => (await good(o)).replace('END CERTIFICATE', 'END NEW CERTIFICATE'),
    says: /too early/,
  },
  'characters that are no Base64': { create: async (o) => (await good(o)).replace(/M/, '!'), says: /is not Base64/ },
  'nothing in its frame': { create: async () => toPem(Buffer.alloc(0)), says: /is not Base64/ },
  'bytes that are no request': {
    create: async () => toPem(Buffer.from('nonsense')),
    says: /no certificate signing request/,
  },
  'an empty sequence': { create: async () => toPem(Buffer.from([0x30, 0])), says: /no certificate signing request/ },
  'a length that lies': {
    create: async () => toPem(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 1])),
    says: /no certificate signing request/,
  },
  'a certificate under the label of a request': {
    create: async (o) => (await good(o), toPem(toDer(await o.run('req', '-x509', '-in', 'it.csr', '-key', 'it.key')))),
    says: /no certificate signing request|key that cannot be read/,
  },
  'a changed subject': { create: tamper, says: /not signed by its own key/ },
  'a signature cut short': {
    create: async (o) => {
      const der = toDer(await o.request(KEYS['RSA 2048']));
      der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
      return toPem(der);
    },
    says: /not signed by its own key/,
  },
  'RSA of 1024 bits': { create: (o) => o.request(KEYS['RSA 1024']), says: /RSA key of 2048 to 8192 bits/ },
  'RSA with the exponent 3': { create: (o) => o.request(KEYS['RSA 2048, exponent 3']), says: /must be for an RSA key/ },
  secp256k1: { create: (o) => o.request(KEYS.secp256k1), says: /must be for an RSA key/ },
  Ed25519: { create: (o) => o.request(KEYS.Ed25519), says: /must be for an RSA key/ },
  'a curve given by its parameters': {
    create: (o) => o.request(KEYS['P-256 by its parameters']),
    says: /must be for|not signed by/,
  },
  'SHA-1': { create: (o) => o.request(KEYS['RSA 2048'], '-sha1'), says: /SHA-256/ },
  MD5: { create: (o) => o.request(KEYS['RSA 2048'], '-md5'), says: /SHA-256/ },
  'SHA-1 with EC': { create: (o) => o.request(KEYS['P-256'], '-sha1'), says: /SHA-256/ },
  'too much text': { create: async (o) => 'x'.repeat(MAX_CSR_LENGTH) + (await good(o)), says: /at most 16384/ },
};

describe('a certificate signing request', async () => {
  const openssl = await startOpenssl({ after });

  for (const [name, create] of Object.entries(ACCEPTED)) {
    it(`is taken: ${name}`, async () => {
      const { publicKey } = await parseCertificateRequest(await create(openssl));
      const pem = createPublicKey({ key: publicKey, format: 'der', type: 'spki' }).export({
        type: 'spki',
        format: 'pem',
      });
      assert.equal(pem, await openssl.run('pkey', '-in', 'it.key', '-pubout'));
    });
  }

  for (const [name, { create, says }] of Object.entries(REFUSED)) {
    it(`is refused: ${name}`, async () => {
      const csr = await create(openssl);
      await assert.rejects(parseCertificateRequest(csr), (error: unknown) => {
        assert.ok(error instanceof AppError);
        assert.equal(error.code, 'invalid_request');
        assert.match(error.values.detail ?? '', /^"csr" /);
        assert.match(error.values.detail ?? '', says);
        return true;
      });
    });
  }
});
