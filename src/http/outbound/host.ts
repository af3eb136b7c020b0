const EMPTY_LABEL = /^\.|\.\.|\.$/;

/**
 * A host in its one form: small letters, an IPv6 address without its brackets.
 * @returns undefined where the URL standard would read something else than what is written
 */
export function toHost(written: string): string | undefined {
  const url = `http://${written}`;
  if (EMPTY_LABEL.test(written) || !URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  return hostname === written.toLowerCase() ? hostname : undefined;
}
