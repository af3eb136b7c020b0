/** What a JWS algorithm needs of its key, and how it is carried out. */
export interface JwsAlgorithmRow {
  readonly keyType: 'secret' | 'rsa';
  /** The name of its hash for node:crypto. */
  readonly hash: 'sha256' | 'sha512';
  /** Random bytes of a secret made here (RFC 7518 §3.2: at least the hash's length). */
  readonly secretBytes: number;
}

/** The signature algorithms of the seeds (RFC 7518 §3.1). There is no `none`. */
export const JWS_ALGORITHMS = {
  HS256: { keyType: 'secret', hash: 'sha256', secretBytes: 32 },
  HS512: { keyType: 'secret', hash: 'sha512', secretBytes: 64 },
  RS256: { keyType: 'rsa', hash: 'sha256', secretBytes: 0 },
  RS512: { keyType: 'rsa', hash: 'sha512', secretBytes: 0 },
} as const satisfies Record<string, JwsAlgorithmRow>;

export type JwsAlgorithm = keyof typeof JWS_ALGORITHMS;

/** Key management algorithms of the JWE (RFC 7518 §4.1). */
export const JWE_ALGORITHMS = ['RSA-OAEP', 'RSA1_5'] as const;
export type JweAlgorithm = (typeof JWE_ALGORITHMS)[number];

/**
 * What an app allows whose registration does not say.
 * SECURITY: without RSA1_5, which is switched on app by app: its padding has been broken through every kind of leak.
 */
export const DEFAULT_JWE_ALGORITHMS = ['RSA-OAEP'] as const satisfies readonly JweAlgorithm[];

/** Content encryption algorithms of the JWE (RFC 7518 §5.1). */
export const JWE_ENCRYPTIONS = ['A128CBC-HS256', 'A128GCM', 'A256GCM'] as const;
export type JweEncryption = (typeof JWE_ENCRYPTIONS)[number];

export const JWS_ALGORITHM_NAMES = Object.keys(JWS_ALGORITHMS) as [JwsAlgorithm, ...JwsAlgorithm[]];

/** Whether `name` is a signature algorithm of this table. */
export function isJwsAlgorithm(name: unknown): name is JwsAlgorithm {
  return typeof name === 'string' && Object.hasOwn(JWS_ALGORITHMS, name);
}
