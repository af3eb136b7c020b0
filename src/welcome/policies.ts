/** A host and a port as a policy can name them: nothing that would end the directive. */
const ORIGIN = /^https?:\/\/[\w.:[\]-]+$/;

/** The policies of the demo page's two documents, as header values. */
export interface Policies {
  readonly page: string;
  readonly chat: string;
}

/**
 * What the documents may do that talk to the idproxy of this URL.
 * @throws TypeError when it is no http URL
 */
export function toPolicies(idproxyUrl: string): Policies {
  const { origin } = new URL(idproxyUrl);
  if (!ORIGIN.test(origin)) throw new TypeError('the URL of the idproxy has no origin that a policy can name');
  return { page: toPagePolicy(origin), chat: toChatPolicy(origin) };
}

/** SECURITY: only the page's own files run, they talk to the two servers alone, and no text ever becomes markup. */
function toPagePolicy(idproxyOrigin: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `connect-src 'self' ${idproxyOrigin}`,
    'img-src data:',
    "frame-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

/**
 * SECURITY: as narrow as the published chat SDK can live with, in a document of its own, so that the page around it
 * needs none of the exceptions:
 *
 * - `'unsafe-eval'`: it compiles its templates with `new Function`
 * - `'unsafe-inline'` for styles: it adds its style sheets as elements, and its templates have style attributes
 * - no Trusted Types: it builds all markup from texts. Scripts and handlers within such markup do not run
 * - `allow-same-origin`: the issuer answers no page of the origin `null`
 *
 * No other host is named: pictures and links to elsewhere that a bot sends stay away, and no window opens.
 */
function toChatPolicy(idproxyOrigin: string): string {
  const socketOrigin = idproxyOrigin.replace(/^http/, 'ws');
  return [
    "default-src 'none'",
    "script-src 'self' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    `connect-src 'self' ${idproxyOrigin} ${socketOrigin}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    'sandbox allow-scripts allow-same-origin',
  ].join('; ');
}
