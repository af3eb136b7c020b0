/** The one that is echoed: clients of "secure RTM" break off where none of theirs comes back. */
export const RTM_PROTOCOL = 'x-rtm-v|1';

/** A token of HTTP (RFC 9110 §5.6.2): what a subprotocol's name may be made of. */
const NAME = /^[\w!#$%&'*+\-.^`|~]+$/;

/** What a client proves with its subprotocols. */
export interface Proof {
  readonly token: string;
  readonly nonce: string;
}

/** The offered subprotocols. @returns undefined where the field is malformed or names one twice (RFC 6455 §4.1) */
export function parseSubprotocols(field: string | undefined): readonly string[] | undefined {
  if (field === undefined) return [];
  const names = field.split(',').map((name) => name.trim());
  return names.every((name) => NAME.test(name)) && new Set(names).size === names.length ? names : undefined;
}

/** The proof in offered subprotocols. @returns undefined where it is not whole, or ambiguous */
export function readProof(names: readonly string[]): Proof | undefined {
  const [token, ...otherTokens] = valuesOf(names, 'jwt|');
  const [nonce, ...otherNonces] = valuesOf(names, 'nonce|');
  if (!names.includes(RTM_PROTOCOL) || otherTokens.length > 0 || otherNonces.length > 0) return undefined;
  return token === undefined || nonce === undefined ? undefined : { token, nonce };
}

function valuesOf(names: readonly string[], prefix: string): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}
