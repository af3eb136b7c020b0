import { stripComments } from './source-text.ts';

/** Calls that take the same time whatever they compare. */
const CONSTANT_TIME = /\b(?:timingSafeEqual|isSameText|isHashOf)\s*\(/g;
/** The declarations of the two that are ours. */
const DECLARATION = /\bfunction\s+(?:isSameText|isHashOf)\s*\(/g;

/** Every place where a secret, or what only its holder can make, is compared: the calls that must stand in each file. */
export const PLACES: Readonly<Record<string, number>> = {
  // Both functions that others use.
  'src/core/secret.ts': 2,
  // Keys of the issuer's callers, of services, of connectors' webhooks.
  'src/http/key-list.ts': 1,
  // The token of the metrics.
  'src/http/health.ts': 1,
  // The admin token: configured, or kept as a hash.
  'src/apps/admin-token.ts': 2,
  // HMAC signatures of assertions.
  'src/jose/jws.ts': 1,
  // The tags of AES-CBC with HMAC.
  'src/jose/content-encryption.ts': 1,
  // The hash of a bearer in a proof, and the key that it is bound to.
  'src/idproxy/dpop.ts': 2,
  // The keys that stay when the master key goes.
  'src/vault/master-key-set.ts': 1,
  // The nonce of a socket.
  'src/sessions/socket/upgrade.ts': 1,
};

/** What a comparison that leaves off at the first difference may not stand beside. */
const SECRET_NAME = /(?:digest|hmac|mac|signature|secret|password|token|nonce|hash|sha256|apiKey|tag|sid)$/i;
const MAKES_ONE = /(?:digest|sha256Hex|createHmac|createHash|reveal)\s*\(/;
/** The other side says what kind of thing it is, or that there is none; nothing secret is told by that. */
const HARMLESS = /^(?:undefined|null|true|false|['"`]|-?\d|typeof\b|\/)/;

/** Files in which the rule takes something for a secret that is none: how often, and what it is. */
const EXEMPT: Readonly<Record<string, readonly [count: number, what: string]>> = {
  'src/cli/connectors.ts': [1, 'whether an action takes an id'],
  'src/connector/config/watch-config.ts': [5, 'digests and contents of configuration files of this machine'],
  'src/connector/logs/audit-verify.ts': [3, 'hashes of a log that its reader has before them'],
  'src/connector/webhooks/spool.ts': [1, 'the digest of a message of our own on our disk'],
  'src/connector/webhooks/spool-file.ts': [2, 'checksums of our own files'],
  'src/gateway/watched-copy.ts': [1, 'ids and revisions of documents'],
  'src/idproxy/routes/oauth.ts': [1, 'whether the credential is the token in the body: both came with the request'],
  'src/stores/embedded-presence.ts': [1, 'what a node says of itself'],
};

const OPERAND = String.raw`[\w$.?!\])('"\x60-]+(?:\s\?\?\s[\w$.?()]+)*`;
const COMPARISON = new RegExp(String.raw`(${OPERAND})\s*(?:===|!==|==|!=)\s*(${OPERAND}|/)`, 'g');
/** Of bytes: whatever they are, there is no need for it outside of the list. */
const OF_BYTES = /\.\s*(?:equals|compare)\s*\(/g;

const isSecret = (operand: string): boolean => {
  const bare = operand.replace(/^[!(]+/, '').replace(/\)+$/, '');
  return MAKES_ONE.test(operand) || SECRET_NAME.test(bare.replace(/[!?]$/, ''));
};

/** Comparisons of a file that may tell something of a secret by their time. */
function findComparisons(code: string): string[] {
  const ofTexts = [...code.matchAll(COMPARISON)]
    .filter(([, left = '', right = '']) => !HARMLESS.test(left) && !HARMLESS.test(right))
    .filter(([, left = '', right = '']) => isSecret(left) || isSecret(right));
  return [...ofTexts, ...code.matchAll(OF_BYTES)].map(([text]) => text.replaceAll(/\s+/g, ' '));
}

/** Everything in `sources` that compares a secret in a time that tells something of it, or no longer where it should; one line each. */
export function checkSecretComparisons(sources: ReadonlyMap<string, string>): string[] {
  const complaints: string[] = [];
  const count = (code: string, pattern: RegExp): number => [...code.matchAll(pattern)].length;
  for (const path of [...Object.keys(PLACES), ...Object.keys(EXEMPT)])
    if (!sources.has(path)) complaints.push(`${path}: is not there`);
  for (const [path, source] of sources) {
    if (!path.endsWith('.ts')) continue;
    const code = stripComments(source);
    const calls = count(code, CONSTANT_TIME) - count(code, DECLARATION);
    const listed = PLACES[path] ?? 0;
    if (calls !== listed) complaints.push(`${path}: ${calls} comparisons in constant time, listed are ${listed}`);
    const found = findComparisons(code);
    const [exempt = 0] = EXEMPT[path] ?? [];
    if (found.length !== exempt) complaints.push(`${path}: ${found.length}, exempt are ${exempt}: ${found.join('; ')}`);
  }
  return complaints;
}
