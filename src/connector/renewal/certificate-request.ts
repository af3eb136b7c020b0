import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';

const generate = promisify(generateKeyPair);

/** What keys of another kind than RSA or a usual curve are replaced by. */
const DEFAULT_CURVE = 'prime256v1';
const CURVES = new Set([DEFAULT_CURVE, 'secp384r1', 'secp521r1']);
/** RSA keys below this are replaced by ones of this size, in bits. */
const MIN_RSA_BITS = 2_048;

const TAG = { integer: 0x02, bits: 0x03, oid: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const;
const COMMON_NAME = Buffer.from('550403', 'hex');
/** `AlgorithmIdentifier` of RSA and ECDSA signatures with SHA-256 (RFC 4055 §5, RFC 5758 §3.2). */
const SHA256_WITH = {
  rsa: Buffer.from('300d06092a864886f70d01010b0500', 'hex'),
  ec: Buffer.from('300a06082a8648ce3d040302', 'hex'),
} as const;

/** A new private key with a request for its certificate; both PEM. */
export interface KeyAndRequest {
  readonly key: string;
  readonly csr: string;
}

/** A new key of the kind of `former`, a PEM text, and the request (PKCS #10, RFC 2986) that it be certified. */
export async function createKeyAndRequest(former: string, commonName: string): Promise<KeyAndRequest> {
  const key = await createKeyLike(createPrivateKey(former));
  return { key: String(key.export({ type: 'pkcs8', format: 'pem' })), csr: toRequest(key, commonName) };
}

async function createKeyLike(former: KeyObject): Promise<KeyObject> {
  const { modulusLength = 0, namedCurve = '' } = former.asymmetricKeyDetails ?? {};
  if (former.asymmetricKeyType === 'rsa') {
    return (await generate('rsa', { modulusLength: Math.max(modulusLength, MIN_RSA_BITS) })).privateKey;
  }
  return (await generate('ec', { namedCurve: CURVES.has(namedCurve) ? namedCurve : DEFAULT_CURVE })).privateKey;
}

/** One value of DER (X.690): tag, length, content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

function toRequest(key: KeyObject, commonName: string): string {
  const name = der(TAG.sequence, der(TAG.oid, COMMON_NAME), der(TAG.utf8, Buffer.from(commonName)));
  const info = der(
    TAG.sequence,
    der(TAG.integer, Buffer.from([0])),
    der(TAG.sequence, der(TAG.set, name)),
    toPublicKey(key),
    der(TAG.attributes),
  );
  const algorithm = key.asymmetricKeyType === 'rsa' ? SHA256_WITH.rsa : SHA256_WITH.ec;
  const signature = der(TAG.bits, Buffer.from([0]), sign('sha256', info, key));
  const base64 = der(TAG.sequence, info, algorithm, signature).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n');
}

/** SubjectPublicKeyInfo. */
const toPublicKey = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
