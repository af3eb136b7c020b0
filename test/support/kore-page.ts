import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';

const SDK = resolve('node_modules/kore-web-sdk/dist/umd/kore-web-sdk-umd-chat.min.js');

/** How the page gets its JWT: by the SDK's own form post, or by the page function that it calls. */
export type MintBy = 'JWTUrl' | 'JWTAsertion';

/** A customer's page with the published chat SDK, on an origin of its own. */
export interface KorePage {
  readonly origin: string;
  /** Where the page stands that gets its JWT in this way. */
  toUrl(mintBy: MintBy): string;
  close(): Promise<void>;
}

interface Targets {
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  readonly identity: string;
}

/** What the page sets where it brings a function of its own: JSON, and a slash behind the path. */
const JWT_ASSERTION = `
    config.JWTAsertion = (commit) => {
      const body = JSON.stringify({ identity: options.userIdentity });
      const headers = { 'Content-Type': 'application/json' };
      fetch(options.JWTUrl + '/', { method: 'POST', headers, body })
        .then((answer) => answer.json())
        .then(({ jwt }) => { chat.setJWT(jwt); commit(); });
    };`;

function toHtml({ issuerUrl, idproxyUrl, identity }: Targets, mintBy: MintBy): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8"><title>A page with a chat</title><link rel="icon" href="data:,">
    <script src="/sdk.js"></script>
  </head>
  <body>
    <script>
    const config = KoreChatSDK.chatConfig, chat = new KoreChatSDK.chatWindow(), options = config.botOptions;
    options.koreAPIUrl = ${JSON.stringify(`${idproxyUrl}/api/`)};
    options.JWTUrl = ${JSON.stringify(`${issuerUrl}/api/users/sts`)};
    options.userIdentity = ${JSON.stringify(identity)};
    options.botInfo = { name: 'Bot', _id: 'st-1', customData: { name: 'Alice' } };
    config.minimizeMode = false;
    config.enableThemes = false;${mintBy === 'JWTAsertion' ? JWT_ASSERTION : ''}
    chat.show(config);
    </script>
  </body>
</html>
`;
}

/** Serves the pages and the SDK from the installed package on a free port. */
export async function startKorePage(targets: Targets): Promise<KorePage> {
  const sdk = await readFile(SDK);
  const server = createServer((req, res) => {
    const mintBy: MintBy = req.url === '/JWTAsertion' ? 'JWTAsertion' : 'JWTUrl';
    const isSdk = req.url === '/sdk.js';
    res.setHeader('content-type', isSdk ? 'text/javascript' : 'text/html; charset=utf-8');
    res.end(isSdk ? sdk : toHtml(targets, mintBy));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    toUrl: (mintBy) => `${origin}/${mintBy}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
