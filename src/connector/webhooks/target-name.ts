/** A target as logs show it: a name, or a URL without its query, which may hold a credential. */
export function toTargetName(target: string): string {
  const url = URL.canParse(target) ? new URL(target) : undefined;
  return url === undefined ? target : `${url.origin}${url.pathname}`;
}
