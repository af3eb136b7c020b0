import type { Platform } from './platform.ts';
import type { Sender } from './sender.ts';

/** An issuer to ask for the user's JWT. */
export interface IssuerOptions {
  /** `https://issuer.example/api/users/sts`; in a page also relative to it. */
  readonly url: string;
  /** Who the user is. An anonymous visitor gets a random one, which stays the same as long as the client lives. */
  readonly identity?: string;
  readonly isAnonymous?: boolean;
  /** The anonymous identity that this user was before. */
  readonly identityToMerge?: string;
  /** What the issuer knows its caller by: an `authorization`, say. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `include` sends the cookies of an issuer on another origin. */
  readonly credentials?: 'omit' | 'same-origin' | 'include';
}

/**
 * A function of the page that brings a fresh JWT. What it throws reaches the caller as it is; a `ClientError`
 * `unavailable` or `network` has it called again after a while.
 */
export type FetchAssertion = (signal: AbortSignal) => Promise<string>;

/** Whatever brings the JWT, as a function. */
export function createFetchAssertion(
  issuer: IssuerOptions | FetchAssertion,
  { send }: Sender,
  random: Platform['random'],
): FetchAssertion {
  if (typeof issuer === 'function') return issuer;
  const { url, headers, credentials = 'same-origin', ...user } = issuer;
  // Left to the issuer, every renewal would be of another visitor.
  const identity = Array.from({ length: 4 }, () => random().toString(36).slice(2)).join('');
  const body = JSON.stringify(user.isAnonymous ? { identity, ...user } : user);
  const init = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, credentials, body };
  return async (signal) => (await send(url, init, signal))['jwt'] as string;
}
