import { randomBytes, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

import type { JsonGeneralName, Name, X509Certificate } from '@peculiar/x509';

import { loadX509 } from './x509.ts';

const SERIAL_BYTES = 16;
/** What every certificate here is signed with. */
export const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new serial (RFC 5280 §4.1.2.2): positive, 32 hexadecimal digits, 126 bits of them random. */
export function createSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** A host name or an address as a subject alternative name. */
export function toAltName(name: string): JsonGeneralName {
  return { type: isIP(name) === 0 ? 'dns' : 'ip', value: name };
}

export interface LeafRequest {
  readonly issuer: X509Certificate;
  readonly signingKey: webcrypto.CryptoKey;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly serial: string;
  readonly commonName: string;
  readonly organization: string;
  readonly altNames: readonly JsonGeneralName[];
  readonly usages: readonly ('serverAuth' | 'clientAuth')[];
  readonly notBeforeSeconds: number;
  readonly notAfterSeconds: number;
}

/** Signs a certificate that can sign no other (RFC 5280 §4.2). @returns PEM */
export async function issueLeaf(leaf: LeafRequest): Promise<string> {
  const x509 = await loadX509();
  const publicKey = new x509.PublicKey(leaf.publicKey);
  // SECURITY: all that a certificate says is set here; nothing of a request but its key comes in.
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: leaf.serial,
    issuer: leaf.issuer.subjectName,
    subject: await toName(leaf.commonName, leaf.organization),
    notBefore: new Date(leaf.notBeforeSeconds * 1_000),
    notAfter: new Date(leaf.notAfterSeconds * 1_000),
    publicKey,
    signingKey: leaf.signingKey,
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(leaf.usages.map((usage) => x509.ExtendedKeyUsage[usage])),
      new x509.SubjectAlternativeNameExtension([...leaf.altNames]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(leaf.issuer.publicKey),
    ],
  });
  return toPemText(certificate);
}

/** A name whose values are texts, whatever characters they have. */
export async function toName(commonName: string, organization: string): Promise<Name> {
  const x509 = await loadX509();
  return new x509.Name([{ O: [{ utf8String: organization }] }, { CN: [{ utf8String: commonName }] }]);
}

/** PEM with a line feed at its end, as files have it. */
export function toPemText(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}
