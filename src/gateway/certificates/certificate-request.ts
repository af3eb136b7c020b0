import { createPublicKey, type KeyObject } from 'node:crypto';

import { AppError } from '../../core/errors.ts';
import { loadX509 } from './x509.ts';

/** A certificate signing request as it is pasted, in characters. */
export const MAX_CSR_LENGTH = 16_384;
/** The RSA keys that are certified, in bits. */
export const MIN_RSA_BITS = 2_048;
export const MAX_RSA_BITS = 8_192;

const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const HASHES: ReadonlySet<string> = new Set(['SHA-256', 'SHA-384', 'SHA-512']);
const MIN_RSA_EXPONENT = 65_537n;

const BEGIN = /-----BEGIN ([A-Z0-9 ]{1,40})-----/g;
/** The second is what Microsoft's tools write. */
const LABELS: ReadonlySet<string> = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']);
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** What a request asks for that is granted: that this key is certified. */
export interface CertificateRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

const invalid = (rest: string, cause?: unknown): AppError =>
  new AppError('invalid_request', { values: { detail: `"csr" ${rest}` }, cause });

/**
 * Reads a PKCS #10 request (RFC 2986) in PEM and checks that it is signed by its own key. Text around the one block is
 * skipped, as `openssl req -text` writes it. Names and extensions that it asks for are not looked at.
 * @throws AppError `invalid_request`
 */
export async function parseCertificateRequest(text: string): Promise<CertificateRequest> {
  const der = readPem(text);
  const { Pkcs10CertificateRequest } = await loadX509();
  let request: InstanceType<typeof Pkcs10CertificateRequest>;
  let publicKey: Buffer;
  let signature: { readonly hash?: { readonly name: string } };
  try {
    request = new Pkcs10CertificateRequest(der);
    publicKey = Buffer.from(request.publicKey.rawData);
    signature = request.signatureAlgorithm;
  } catch (error) {
    throw invalid('is no certificate signing request (PKCS #10)', error);
  }
  checkKey(publicKey);
  if (!HASHES.has(signature.hash?.name ?? '')) throw invalid('must be signed with SHA-256, SHA-384 or SHA-512');
  if (!(await request.verify().catch(() => false))) {
    throw invalid('is not signed by its own key: it was changed, or not copied as a whole');
  }
  return { publicKey };
}

/** The bytes of the one PEM block of a text. */
function readPem(text: string): Buffer {
  if (text.length > MAX_CSR_LENGTH) throw invalid(`must have at most ${MAX_CSR_LENGTH} character(s)`);
  const blocks = [...text.matchAll(BEGIN)];
  // SECURITY: said before anything else, so that nobody pastes a private key twice.
  if (blocks.some(([, label = '']) => label.endsWith('PRIVATE KEY'))) {
    throw invalid('holds a private key: it stays on the server where it was made; paste the .csr file');
  }
  const [block, ...others] = blocks;
  if (block === undefined) throw invalid('must be PEM text, from "-----BEGIN CERTIFICATE REQUEST-----" on');
  if (others.length > 0) throw invalid('must hold one PEM block and no other');
  const [begin, label = ''] = block;
  if (!LABELS.has(label)) throw invalid(`must be a certificate request; this is a "${label.toLowerCase()}"`);
  const from = block.index + begin.length;
  const to = text.indexOf(`-----END ${label}-----`, from);
  if (to === -1) throw invalid('ends too early: copy it as a whole');
  const base64 = text.slice(from, to).replaceAll(/\s/g, '');
  if (!BASE64.test(base64)) throw invalid('is not Base64 between its first and its last line');
  return Buffer.from(base64, 'base64');
}

/** SECURITY: a key that can be guessed makes the certificate everybody's. */
function checkKey(spki: Buffer): void {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (error) {
    throw invalid('has a key that cannot be read', error);
  }
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const isRsa =
    key.asymmetricKeyType === 'rsa' &&
    modulusLength >= MIN_RSA_BITS &&
    modulusLength <= MAX_RSA_BITS &&
    publicExponent >= MIN_RSA_EXPONENT;
  const isEc = key.asymmetricKeyType === 'ec' && CURVES.has(namedCurve);
  if (!isRsa && !isEc) {
    throw invalid(
      `must be for an RSA key of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, or an EC key on P-256, P-384 or P-521`,
    );
  }
}
