import { randomBytes } from 'node:crypto';

import { AppError } from '../../core/errors.ts';
import { createToken } from '../../core/ids.ts';
import { parseOutboundUrl, UrlError } from '../../http/outbound/url.ts';
import { JWS_ALGORITHMS, type JwsAlgorithm } from '../../jose/algorithms.ts';
import { KeyError, parseRsaPublicKey } from '../../jose/jwk.ts';
import type { Vault } from '../../vault/vault.ts';
import type { AppKey, AppKeyRequest } from './schemas.ts';

/** Random bytes of a key's id. */
const KID_BYTES = 12;

/** The id of the key of an app that was registered when apps had but one. */
export const FIRST_KID = 'k-first';

/** What an app's key is made of. */
export type KeySource = Pick<AppKeyRequest, 'publicKey' | 'jwksUrl'>;

/** When a key is made and used, in seconds since the epoch. */
export type KeyTimes = Pick<AppKey, 'createdAt' | 'activatesAt'>;

const invalid = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });

/** SECURITY: a sealed secret opens for its app and key alone. The first key's context has no id: it is older than the ids. */
const toContext = (clientId: string, kid: string): string =>
  kid === FIRST_KID ? `app-secret:${clientId}` : `app-secret:${clientId}:${kid}`;

/**
 * A new key of an app: a secret is made here and shown once, a public key or URL is taken.
 * @throws AppError `invalid_request` where the source does not fit the algorithm
 */
export function createAppKey(
  app: { readonly clientId: string; readonly algorithm: JwsAlgorithm },
  source: KeySource,
  times: KeyTimes,
  vault: Vault,
): { readonly key: AppKey; readonly clientSecret?: string } {
  const kid = `k-${createToken(KID_BYTES)}`;
  const { algorithm, clientId } = app;
  if (JWS_ALGORITHMS[algorithm].keyType === 'rsa')
    return { key: { kid, ...times, ...toPublicSource(algorithm, source) } };
  for (const member of ['publicKey', 'jwksUrl'] as const) {
    if (source[member] !== undefined)
      throw invalid(`"${member}": ${algorithm} is signed with a secret, which is made here`);
  }
  const clientSecret = randomBytes(JWS_ALGORITHMS[algorithm].secretBytes).toString('base64');
  const sealedSecret = vault.seal(clientSecret, toContext(clientId, kid));
  return { key: { kid, ...times, sealedSecret }, clientSecret };
}

/**
 * The secret of a key; undefined for a key that has none.
 * @throws VaultError when it was sealed under another master key, or for another app or key
 */
export function openSecret(vault: Vault, clientId: string, { kid, sealedSecret }: AppKey): string | undefined {
  return sealedSecret === undefined ? undefined : vault.open(sealedSecret, toContext(clientId, kid));
}

/** The same key, its secret sealed anew. @throws VaultError */
export function resealKey(vault: Vault, clientId: string, key: AppKey): AppKey {
  const secret = openSecret(vault, clientId, key);
  return secret === undefined ? key : { ...key, sealedSecret: vault.seal(secret, toContext(clientId, key.kid)) };
}

/** A public key as PEM, whatever form it came in. @throws AppError `invalid_request` */
function toPublicKeyPem(source: string | Readonly<Record<string, unknown>>): string {
  try {
    return parseRsaPublicKey(source).export({ type: 'spki', format: 'pem' }) as string;
  } catch (error) {
    throw error instanceof KeyError ? invalid(`"publicKey": ${error.message}`) : error;
  }
}

function toPublicSource(algorithm: JwsAlgorithm, { publicKey, jwksUrl }: KeySource): Partial<AppKey> {
  if (publicKey !== undefined && jwksUrl !== undefined) throw invalid('"publicKey" and "jwksUrl": send one of them');
  if (jwksUrl !== undefined) return { jwksUrl: checkJwksUrl(jwksUrl) };
  if (publicKey === undefined) throw invalid(`"publicKey": ${algorithm} needs one, or "jwksUrl"`);
  return { publicKey: toPublicKeyPem(publicKey) };
}

function checkJwksUrl(text: string): string {
  try {
    if (parseOutboundUrl(text).isSecure) return text;
  } catch (error) {
    throw error instanceof UrlError ? invalid(`"jwksUrl" ${error.message}`) : error;
  }
  throw invalid('"jwksUrl" must be https');
}
