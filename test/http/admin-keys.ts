import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const small = generateKeyPairSync('rsa', { modulusLength: 1_024 });
const even = generateKeyPairSync('rsa', { modulusLength: 2_048, publicExponent: 3 });
const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');

const spki = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;
const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const jwk = (key: KeyObject): Record<string, unknown> => ({ ...key.export({ format: 'jwk' }) });

function makeCertificate(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-certificate-'));
  try {
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=a',
        '-keyout',
        keyFile,
        '-out',
        certFile,
      ],
      { stdio: 'ignore' },
    );
    return readFileSync(certFile, 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The public key of the table below that most forms hold, as the server shows it. */
export const RSA_SPKI = spki(rsa.publicKey);
export const RSA_PRIVATE = rsa.privateKey;
const certificate = makeCertificate();

/** Forms in which a public key is taken, and what it is shown as. */
export const TAKEN_KEYS: Readonly<Record<string, { publicKey: unknown; shown: string }>> = {
  'PEM (SPKI)': { publicKey: RSA_SPKI, shown: RSA_SPKI },
  'PEM (SPKI) with CRLF and white space around': {
    publicKey: `\r\n${RSA_SPKI.replaceAll('\n', '\r\n')}\r\n`,
    shown: RSA_SPKI,
  },
  'PEM (PKCS #1)': { publicKey: rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }), shown: RSA_SPKI },
  'a certificate': { publicKey: certificate, shown: spki(createPublicKey(certificate)) },
  'a JWK': { publicKey: jwk(rsa.publicKey), shown: RSA_SPKI },
  'a JWK with optional members': {
    publicKey: { ...jwk(rsa.publicKey), kid: 'k-1', use: 'sig', alg: 'RS256', x5t: 'x' },
    shown: RSA_SPKI,
  },
  'a key with the exponent 3': { publicKey: spki(even.publicKey), shown: spki(even.publicKey) },
};

/** Keys that are refused, and why. */
export const REFUSED_KEYS: Readonly<Record<string, { publicKey: unknown; msg: RegExp }>> = {
  none: { publicKey: undefined, msg: /"publicKey": RS256 needs one/ },
  'a key of 1024 bits': { publicKey: spki(small.publicKey), msg: /1024 bits; 2048 are needed/ },
  'a JWK of 1024 bits': { publicKey: jwk(small.publicKey), msg: /1024 bits; 2048 are needed/ },
  'an EC key': { publicKey: spki(ec.publicKey), msg: /not an RSA key/ },
  'an EC JWK': { publicKey: jwk(ec.publicKey), msg: /not an RSA key/ },
  'an Ed25519 key': { publicKey: spki(ed.publicKey), msg: /not an RSA key/ },
  'an RSA-PSS key': { publicKey: spki(pss.publicKey), msg: /not an RSA key/ },
  'a private key': { publicKey: pkcs8(rsa.privateKey), msg: /this is a private key/ },
  'a private key in PKCS #1': {
    publicKey: rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }),
    msg: /this is a private key/,
  },
  'an encrypted private key': {
    publicKey: rsa.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }),
    msg: /this is a private key/,
  },
  'a private key behind a public one': { publicKey: RSA_SPKI + pkcs8(rsa.privateKey), msg: /this is a private key/ },
  'a private JWK': { publicKey: jwk(rsa.privateKey), msg: /this is a private key/ },
  'a symmetric JWK': { publicKey: { kty: 'oct', k: 'c2VjcmV0' }, msg: /this is a private key/ },
  'an empty text': { publicKey: '', msg: /not a key in PEM or JWK form/ },
  'no key at all': { publicKey: 'hello', msg: /not a key in PEM or JWK form/ },
  'PEM that is cut': { publicKey: RSA_SPKI.slice(0, 200), msg: /not a key in PEM or JWK form/ },
  'an empty object': { publicKey: {}, msg: /not a key in PEM or JWK form/ },
  'a JWK without a modulus': { publicKey: { kty: 'RSA', e: 'AQAB' }, msg: /not a key in PEM or JWK form/ },
  'a JWK with wrong types': { publicKey: { kty: 5, n: [], e: {} }, msg: /not a key in PEM or JWK form/ },
  'a JWK set': { publicKey: { keys: [jwk(rsa.publicKey)] }, msg: /not a key in PEM or JWK form/ },
  'a text that is too long': { publicKey: RSA_SPKI + 'x'.repeat(9_000), msg: /"publicKey"/ },
  'a number': { publicKey: 5, msg: /"publicKey"/ },
  'an array': { publicKey: [RSA_SPKI], msg: /"publicKey"/ },
  null: { publicKey: null, msg: /"publicKey"/ },
};
