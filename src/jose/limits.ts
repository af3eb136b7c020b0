/** Limits on what is read, in bytes unless said otherwise. Documented in docs/limits.md. */

/** A whole assertion in compact serialization: a nested JWE around {@link MAX_PRIVATE_CLAIMS_BYTES} has about 16 KB. */
export const MAX_TOKEN_BYTES = 32_768;
/** One JOSE header, encoded. */
export const MAX_HEADER_BYTES = 2_048;
/** `privateClaims` and `secureCustomData` together, as JSON. */
export const MAX_PRIVATE_CLAIMS_BYTES = 8_192;
/** `sub`, `jti`, `identityToMerge` and their `kore_` forms, in characters. */
export const MAX_NAME_LENGTH = 256;
/** `iss` and `aud`, in characters. */
export const MAX_AUDIENCE_LENGTH = 1_024;
/** The life of an assertion with a `jti`, in seconds from now (seeds: "jti validations"). */
export const MAX_JTI_LIFETIME_SECONDS = 3_600;
/** The largest clock tolerance that an app may be given, in seconds. */
export const MAX_CLOCK_TOLERANCE_SECONDS = 300;
/** Values from here on are milliseconds: as seconds it would be the year 5138. */
export const MILLISECONDS_FROM = 1e11;
/** The smallest RSA modulus, in bits (RFC 7518 §3.3). */
export const MIN_RSA_BITS = 2_048;
/** The largest RSA modulus, in bits: verifying costs its square. */
export const MAX_RSA_BITS = 8_192;
/**
 * The shortest client secret, in bytes of UTF-8, for HS512 too: platforms hand out 44 characters for both. RFC 7518
 * §3.2 asks for 32 with HS256 and 64 with HS512; secrets that are made here have that many random bytes.
 */
export const MIN_SECRET_BYTES = 32;
/** The longest client secret, in bytes of UTF-8. */
export const MAX_SECRET_BYTES = 1_024;
