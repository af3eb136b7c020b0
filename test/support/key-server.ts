import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { CertificateAuthority } from './certificate-authority.ts';

/** An https server whose answers a test chooses, at loopback. */
export interface KeyServer {
  readonly port: number;
  /** The requests that came. */
  readonly requests: readonly IncomingMessage[];
  answer(how: (res: ServerResponse) => void): void;
  /** Answers with a JWKS from now on. */
  publish(keys: readonly unknown[]): void;
  close(): Promise<void>;
}

/** Starts a server with a certificate for `name`. */
export async function startKeyServer(ca: CertificateAuthority, name: string): Promise<KeyServer> {
  const { key, cert } = await ca.issue({ commonName: name, names: `DNS:${name}` });
  const requests: IncomingMessage[] = [];
  let how = (res: ServerResponse): void => void res.end('{"keys":[]}');
  const server: Server = createServer({ key, cert }, (req, res) => {
    requests.push(req);
    how(res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    answer: (next) => {
      how = next;
    },
    publish: (keys) => {
      how = (res) => {
        res.setHeader('content-type', 'application/jwk-set+json').end(JSON.stringify({ keys }));
      };
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
