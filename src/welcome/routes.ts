import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';

import { type RequestHandler, Router } from 'express';

import { allowOnly } from '../http/refusals.ts';
import { findChatSdk } from './chat-sdk.ts';
import { toPolicies } from './policies.ts';

export interface WelcomeDeps {
  /** Under what URL the page's browser reaches the idproxy. */
  readonly idproxyUrl: string;
  /** Whether the idproxy offers real-time sessions: the chat needs one. */
  readonly hasSessions: boolean;
  /** The folder of the built page, with a slash at its end; the one beside this file where it is left out. */
  readonly folder?: URL;
  /** The URL of the module from which the chat SDK is looked for; this one where it is left out. */
  readonly sdkFrom?: string;
}

const PAGE = 'index.html';
/** The document around the chat SDK, framed by the page. */
const CHAT = 'chat.html';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** The path of the SDK names its version: what a browser keeps of it never changes. */
const KEEP_FOR_A_YEAR = 'public, max-age=31536000, immutable';

type Headers = Readonly<Record<string, string>>;

/**
 * The demo page at `/` and its scripts and styles below `/welcome/`, read once. The page holds no credential.
 * The chat's document and its SDK are there only where the SDK is installed and the idproxy has sessions.
 * @throws TypeError when `idproxyUrl` is no http URL; whatever reading the folder or the SDK throws
 */
export function createWelcomeRoutes(deps: WelcomeDeps): Router {
  const { idproxyUrl, hasSessions, folder = new URL('./web/', import.meta.url), sdkFrom } = deps;
  const policies = toPolicies(idproxyUrl);
  const sdk = findChatSdk(sdkFrom);
  const sdkPath = `/welcome/kore-web-sdk-${sdk?.version}.js`;
  const chat = sdk === undefined ? 'no-sdk' : hasSessions ? 'ready' : 'no-sessions';
  const values: Readonly<Record<string, string>> = { idproxyUrl, chat, sdkPath };
  const pageHeaders: Headers = { 'Content-Security-Policy': policies.page, 'Cache-Control': 'no-cache' };
  const chatHeaders: Headers = {
    ...pageHeaders,
    'Content-Security-Policy': policies.chat,
    'X-Frame-Options': 'SAMEORIGIN',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  };

  const router = Router({ caseSensitive: true });
  const add = (path: string, body: Buffer, mediaType: string, headers: Headers): void => {
    router
      .route(path)
      .get(serve(body, { 'Content-Type': mediaType, ...headers }))
      .all(allowOnly('GET'));
  };
  for (const name of readdirSync(folder)) {
    const mediaType = MEDIA_TYPES[extname(name)];
    if (mediaType === undefined || (name === CHAT && chat !== 'ready')) continue;
    const text = readFileSync(new URL(name, folder), 'utf8');
    const body = Buffer.from(extname(name) === '.html' ? fillIn(text, values) : text);
    add(name === PAGE ? '/' : `/welcome/${name}`, body, mediaType, name === CHAT ? chatHeaders : pageHeaders);
  }
  if (sdk !== undefined && chat === 'ready') {
    add(sdkPath, sdk.script, 'text/javascript; charset=utf-8', { ...pageHeaders, 'Cache-Control': KEEP_FOR_A_YEAR });
  }
  return router;
}

function serve(body: Buffer, headers: Headers): RequestHandler {
  return function servePage(_req, res) {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.setHeader('Content-Length', body.length);
    res.end(body);
  };
}

/** Puts values where `{{name}}` stands in an attribute. */
function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (mark, name: string) => {
    const value = values[name];
    return value === undefined ? mark : escapeAttribute(value);
  });
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
