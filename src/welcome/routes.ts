import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';

import { type RequestHandler, Router } from 'express';

import { allowOnly } from '../http/refusals.ts';

export interface WelcomeDeps {
  /** Under what URL the page's browser reaches the idproxy. */
  readonly idproxyUrl: string;
  /** The folder of the built page, with a slash at its end; the one beside this file where it is left out. */
  readonly folder?: URL;
}

const PAGE = 'index.html';
/** Where the page's text holds the idproxy's URL. */
const IDPROXY_URL_MARK = '{{idproxyUrl}}';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** A host and a port as a policy can name them: nothing that would end the directive. */
const ORIGIN = /^https?:\/\/[\w.:[\]-]+$/;

/**
 * The demo page at `/` and its scripts and styles below `/welcome/`, read once. The page holds no credential.
 * @throws TypeError when `idproxyUrl` is no http URL; whatever reading the folder throws
 */
export function createWelcomeRoutes({ idproxyUrl, folder = new URL('./web/', import.meta.url) }: WelcomeDeps): Router {
  const policy = toPolicy(new URL(idproxyUrl).origin);
  const router = Router({ caseSensitive: true });
  for (const name of readdirSync(folder)) {
    const mediaType = MEDIA_TYPES[extname(name)];
    if (mediaType === undefined) continue;
    const text = readFileSync(new URL(name, folder), 'utf8');
    const path = name === PAGE ? '/' : `/welcome/${name}`;
    const body = name === PAGE ? text.replaceAll(IDPROXY_URL_MARK, () => escapeAttribute(idproxyUrl)) : text;
    router
      .route(path)
      .get(serve(body, mediaType, policy))
      .all(allowOnly('GET'));
  }
  return router;
}

/** SECURITY: only the page's own files run, they talk to the two servers alone, and no text ever becomes markup. */
function toPolicy(idproxyOrigin: string): string {
  if (!ORIGIN.test(idproxyOrigin)) throw new TypeError('the URL of the idproxy has no origin that a policy can name');
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `connect-src 'self' ${idproxyOrigin}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function serve(text: string, mediaType: string, policy: string): RequestHandler {
  const body = Buffer.from(text);
  return function servePage(_req, res) {
    res.setHeader('Content-Type', mediaType);
    res.setHeader('Content-Security-Policy', policy);
    res.setHeader('Cache-Control', 'no-cache');
    res.setHeader('Content-Length', body.length);
    res.end(body);
  };
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
