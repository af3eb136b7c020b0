import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';

const SDK = resolve('node_modules/kore-web-sdk/dist/umd/kore-web-sdk-umd-chat.min.js');

/** How the page gets its JWT: by the SDK's own form post, or by the page function that it calls. */
export type MintBy = 'JWTUrl' | 'JWTAsertion';

/** What is set on a page; whatever is left out is as the SDK has it. */
export interface PageOptions {
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  readonly identity: string;
  readonly mintBy?: MintBy;
  /** What the page's own function asks the issuer for besides. */
  readonly mint?: Readonly<Record<string, unknown>>;
  /** How soon the SDK comes back after a drop, in milliseconds; three seconds where it is left out. */
  readonly backoffMs?: number;
  /** Whether the page opens its sockets with token and nonce ("secure RTM"), which this SDK does not by itself. */
  readonly isSecure?: boolean;
}

/** A customer's page with the published chat SDK, on an origin of its own. */
export interface KorePage {
  readonly origin: string;
  /** Where the page stands that is set up so. */
  toUrl(options: PageOptions): string;
  close(): Promise<void>;
}

/** What the page sets where it brings a function of its own: JSON, and a slash behind the path. */
const JWT_ASSERTION = `
    config.JWTAsertion = (commit) => {
      const body = JSON.stringify({ identity: options.userIdentity, ...given.mint });
      const headers = { 'Content-Type': 'application/json' };
      fetch(options.JWTUrl + '/', { method: 'POST', headers, body })
        .then((answer) => answer.json())
        .then(({ jwt }) => { chat.setJWT(jwt); commit(); });
    };`;

/** What a page adds to take part in secure RTM. */
const SECURE = `
    let nonce;
    const client = chat.bot.KoreRTMClient.prototype, onStart = client._onStart;
    client._onStart = function (error, data) { nonce = data && data.nonce; return onStart.call(this, error, data); };
    options.socketFn = (url) => new WebSocket(url, ['x-rtm-v|1', 'jwt|' + options.assertion, 'nonce|' + nonce]);`;

function toHtml(options: PageOptions): string {
  const given = JSON.stringify(options).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8"><title>A page with a chat</title><link rel="icon" href="data:,">
    <script src="/sdk.js"></script>
  </head>
  <body>
    <script>
    const given = ${given};
    const config = KoreChatSDK.chatConfig, chat = new KoreChatSDK.chatWindow(), options = config.botOptions;
    options.koreAPIUrl = given.idproxyUrl + '/api/';
    options.JWTUrl = given.issuerUrl + '/api/users/sts';
    options.userIdentity = given.identity;
    options.botInfo = { name: 'Bot', _id: 'st-1', customData: { name: 'Alice' } };
    if (given.backoffMs) options.reconnectionBackoff = given.backoffMs;
    config.minimizeMode = false;${options.mintBy === 'JWTAsertion' ? JWT_ASSERTION : ''}${options.isSecure ? SECURE : ''}
    chat.show(config);
    </script>
  </body>
</html>
`;
}

/** Serves the pages and the SDK from the installed package on a free port. */
export async function startKorePage(): Promise<KorePage> {
  const sdk = await readFile(SDK);
  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://page');
    const isSdk = pathname === '/sdk.js';
    res.setHeader('content-type', isSdk ? 'text/javascript' : 'text/html; charset=utf-8');
    res.end(isSdk ? sdk : toHtml(JSON.parse(searchParams.get('options') ?? '{}') as PageOptions));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    toUrl: (options) => `${origin}/?${new URLSearchParams({ options: JSON.stringify(options) }).toString()}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
