import { CompactSign, compactVerify, errors, importPKCS8, importSPKI } from 'jose';

import type { JsonObject } from '../core/json.ts';
import { type CompactJwe, type CompactJws, parseCompact } from './compact.ts';
import { parseRsaPrivateKey, parseRsaPublicKey, type RsaPublicJwk, toPublicJwk } from './jwk.ts';
import { TokenError } from './token-error.ts';

/** The one algorithm of what the platform signs. */
export const SIGNING_ALGORITHM = 'RS256';

/** The keys that the platform signs its own tokens with. */
export interface SigningKeys {
  readonly alg: 'RS256';
  /** A JWS in compact serialization with the header `{alg, typ, kid}`, under the current key. */
  sign(typ: string, claims: JsonObject): Promise<string>;
  /** The claims of a token of this `typ` that one of the live keys signed; its times are not looked at. @returns undefined otherwise */
  verify(typ: string, token: string): Promise<JsonObject | undefined>;
}

/** One private key that the platform signs with. */
export interface SigningKey {
  readonly kid: string;
  /** What verifiers need. */
  readonly jwk: RsaPublicJwk & {
    readonly kid: string;
    readonly use: 'sig';
    readonly alg: typeof SIGNING_ALGORITHM;
  };
  sign(typ: string, claims: JsonObject): Promise<string>;
  /** Whether this key signed the token. */
  verify(token: CompactJws): Promise<boolean>;
}

export interface SigningKeysDeps {
  /** The key that signs now. */
  readonly current: () => Promise<SigningKey>;
  /** The key of this id, if tokens that it signed are taken. */
  readonly find: (kid: string) => SigningKey | undefined;
}

/** Signs with the current key; verifies with the one that a token names. */
export function createSigningKeys({ current, find }: SigningKeysDeps): SigningKeys {
  return {
    alg: SIGNING_ALGORITHM,
    sign: async (typ, claims) => (await current()).sign(typ, claims),
    verify: async (typ, token) => {
      const jws = parseToken(token);
      if (jws?.kind !== 'jws') return undefined;
      const { header } = jws;
      // SECURITY: a token of another type is none, whoever signed it; and every token of ours names its key.
      if (header['typ'] !== typ || typeof header['kid'] !== 'string') return undefined;
      const key = find(header['kid']);
      return key && (await key.verify(jws)) ? jws.payload : undefined;
    },
  };
}

/** @throws KeyError when `pem` is not an RSA private key */
export async function createSigningKey(kid: string, pem: string): Promise<SigningKey> {
  const parsed = parseRsaPrivateKey(pem);
  const jwk = toPublicJwk(parsed);
  const toPem = (type: 'pkcs8' | 'spki'): string =>
    (type === 'pkcs8' ? parsed : parseRsaPublicKey({ ...jwk })).export({ type, format: 'pem' }) as string;
  const privateKey = await importPKCS8(toPem('pkcs8'), SIGNING_ALGORITHM);
  const publicKey = await importSPKI(toPem('spki'), SIGNING_ALGORITHM);
  return {
    kid,
    jwk: { ...jwk, kid, use: 'sig', alg: SIGNING_ALGORITHM },
    sign: (typ, claims) =>
      new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: SIGNING_ALGORITHM, typ, kid })
        .sign(privateKey),
    verify: async ({ text }) => {
      try {
        await compactVerify(text, publicKey, { algorithms: [SIGNING_ALGORITHM] });
        return true;
      } catch (error) {
        if (error instanceof errors.JOSEError) return false;
        throw error;
      }
    },
  };
}

function parseToken(token: string): CompactJws | CompactJwe | undefined {
  try {
    return parseCompact(token);
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}
