import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, rootCertificates, type SecureContext, type SecureContextOptions } from 'node:tls';

import { IdentityFault, type ServiceIdentity } from './identity.ts';
import type { IdentityContents, IdentityFile } from './identity-files.ts';
import { readChain } from './read-chain.ts';

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const MIN_VERSION = 'TLSv1.2';

/** What both forms of an identity come to. */
interface Parts {
  readonly context: SecureContext;
  /** The client certificate first. */
  readonly certificates: readonly X509Certificate[];
}

/**
 * An identity from its files: `key.pem` and `cert.pem` with `chain.pem`, or `identity.p12`; `passphrase` opens either;
 * `ca.pem` holds authorities of servers besides the system's.
 * @throws IdentityFault
 */
export async function parseIdentity(
  name: string,
  files: IdentityContents,
  nowSeconds: number,
): Promise<ServiceIdentity> {
  const shared: SecureContextOptions = {
    minVersion: MIN_VERSION,
    ...(files['ca.pem'] && { ca: [...rootCertificates, ...toPems(readCertificates(files, 'ca.pem'))] }),
  };
  const passphrase = toPassphrase(files.passphrase);
  const isPkcs12 = files['identity.p12'] !== undefined;
  if (isPkcs12 && (files['key.pem'] ?? files['cert.pem']))
    throw new IdentityFault('identity.p12 stands beside key.pem or cert.pem');
  const { context, certificates } = isPkcs12
    ? await fromPkcs12(files['identity.p12'], passphrase, shared)
    : fromPem(files, passphrase, shared);
  const [certificate, ...pool] = certificates;
  if (certificate === undefined) throw new IdentityFault('there is no certificate');
  const chain = toChain(certificate, pool);
  for (const one of [certificate, ...chain]) checkTime(one, one === certificate, nowSeconds);
  return { name, context, certificate, chain, ...toTimes(certificate) };
}

function fromPem(files: IdentityContents, passphrase: string | undefined, shared: SecureContextOptions): Parts {
  if (files['key.pem'] === undefined) throw new IdentityFault('there is neither key.pem nor identity.p12');
  const own = readCertificates(files, 'cert.pem');
  const [certificate] = own;
  if (certificate === undefined) throw new IdentityFault('cert.pem is missing');
  const chain = readCertificates(files, 'chain.pem');
  const key = readKey(files['key.pem'], passphrase);
  if (!certificate.checkPrivateKey(key)) throw new IdentityFault('key.pem is not the key of cert.pem');
  const certificates = [...own, ...chain];
  const pem = key.export({ type: 'pkcs8', format: 'pem' });
  const cert = toPems([certificate, ...toChain(certificate, certificates.slice(1))]).join('\n');
  return { context: createContext({ ...shared, key: pem, cert }, 'key.pem and cert.pem'), certificates };
}

async function fromPkcs12(
  pfx: Buffer | undefined,
  passphrase: string | undefined,
  shared: SecureContextOptions,
): Promise<Parts> {
  const options = { ...shared, ...(pfx && { pfx }), ...(passphrase !== undefined && { passphrase }) };
  const context = createContext(options, 'identity.p12');
  return { context, certificates: await readChain(context) };
}

function createContext(options: SecureContextOptions, what: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    throw new IdentityFault(`${what} cannot be used: ${toReason(error)}`);
  }
}

function readKey(bytes: Buffer, passphrase: string | undefined): KeyObject {
  try {
    // With an empty passphrase an encrypted key fails at once; without any, OpenSSL would ask the terminal.
    return createPrivateKey({ key: bytes, format: 'pem', passphrase: passphrase ?? '' });
  } catch (error) {
    throw new IdentityFault(`key.pem is no private key that can be read: ${toReason(error)}`);
  }
}

function readCertificates(files: IdentityContents, file: IdentityFile): readonly X509Certificate[] {
  const bytes = files[file];
  if (bytes === undefined) return [];
  const pems = bytes.toString('latin1').match(PEM) ?? [];
  if (pems.length === 0) throw new IdentityFault(`${file} holds no certificate (PEM)`);
  return pems.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch {
      throw new IdentityFault(`${file} holds a certificate that cannot be read`);
    }
  });
}

/** The certificates that lead from one to its authority, in their order. */
function toChain(certificate: X509Certificate, pool: readonly X509Certificate[]): readonly X509Certificate[] {
  const left = [...pool];
  const chain: X509Certificate[] = [];
  for (let last = certificate; ;) {
    const at = left.findIndex((one) => last.checkIssued(one) && last.verify(one.publicKey));
    const [issuer] = at === -1 ? [] : left.splice(at, 1);
    if (issuer === undefined) break;
    chain.push(issuer);
    last = issuer;
  }
  if (left.length > 0) throw new IdentityFault('a certificate is not part of the chain of the client certificate');
  return chain;
}

function checkTime(certificate: X509Certificate, isOwn: boolean, nowSeconds: number): void {
  const { notBefore, notAfter } = toTimes(certificate);
  const what = isOwn ? 'the client certificate' : 'a certificate of the chain';
  if (nowSeconds < notBefore) throw new IdentityFault(`${what} is not valid yet`);
  if (nowSeconds > notAfter) throw new IdentityFault(`${what} has expired`);
}

function toTimes({ validFrom, validTo }: X509Certificate): { readonly notBefore: number; readonly notAfter: number } {
  return { notBefore: Date.parse(validFrom) / 1000, notAfter: Date.parse(validTo) / 1000 };
}

/** Without the line break at its end, which editors leave. */
const toPassphrase = (bytes: Buffer | undefined): string | undefined => bytes?.toString('utf8').replace(/\r?\n$/, '');

const toPems = (certificates: readonly X509Certificate[]): readonly string[] =>
  certificates.map((one) => one.toString());

const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /mac verify failure|bad decrypt|bad password|passphrase|interrupted or cancelled/i,
    'the passphrase is wrong or missing',
  ],
  [/unsupported/i, 'its form is not supported; of old PKCS#12 files make new ones (openssl pkcs12 -legacy)'],
  [/too small|too weak/i, 'the key or the digest is too weak'],
];

/** SECURITY: in our own words; what OpenSSL says may name what it read. */
function toReason(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  return REASONS.find(([pattern]) => pattern.test(text))?.[1] ?? 'it is damaged or of another form';
}
