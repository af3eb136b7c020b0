import { isLoopbackAuthority } from '../core/loopback.ts';

/** Where webhooks may be delivered. */
export interface WebhookTarget {
  /** What connectors call it; where it was given without a name, its URL without the query. */
  readonly name: string;
  readonly url: string;
}

const NAMED = /^([A-Za-z\d][\w.-]{0,63})=(.*)$/;

/** A URL that nobody can read along on the way to. @returns undefined where it is none */
function toSafeUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '' || url.hash !== '') return undefined;
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackAuthority(url.host));
  return isSafe ? url : undefined;
}

/**
 * The targets of `name=https://…` and of URLs without a name. `http` is taken on a loopback address.
 * @returns undefined where one cannot be read or two have one name
 */
export function parseWebhookTargets(entries: readonly string[]): readonly WebhookTarget[] | undefined {
  const targets = new Map<string, WebhookTarget>();
  for (const entry of entries) {
    const [, given, rest = entry] = NAMED.exec(entry) ?? [];
    const url = toSafeUrl(rest);
    if (url === undefined) return undefined;
    const name = given ?? `${url.origin}${url.pathname}`;
    if (targets.has(name)) return undefined;
    targets.set(name, { name, url: url.href });
  }
  return [...targets.values()];
}
