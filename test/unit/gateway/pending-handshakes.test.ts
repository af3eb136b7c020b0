import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, createServer, type Server, type TLSSocket } from 'node:tls';

import { limitPendingHandshakes } from '../../../src/gateway/pending-handshakes.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificate-authority.ts';

const MAX = 4;

describe('pending handshakes', () => {
  let server: Server;
  let port: number;
  let authority: CertificateAuthority;
  const clients: (Socket | TLSSocket)[] = [];

  before(async () => {
    authority = await createCertificateAuthority('pending handshakes');
    const { cert, key } = await authority.issue({ commonName: 'localhost', names: 'DNS:localhost,IP:127.0.0.1' });
    server = createServer({ cert, key });
    server.on('tlsClientError', () => undefined);
    limitPendingHandshakes(server, MAX);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  after(async () => {
    await authority.remove();
    for (const client of clients) client.destroy();
    server.close();
  });

  const begin = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    clients.push(socket);
    await Promise.all([once(socket, 'connect'), once(server, 'connection')]);
    return socket;
  };
  const finish = async (): Promise<boolean> => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    clients.push(socket);
    return new Promise((resolve) => {
      // The server's, which comes after the client's.
      server.once('secureConnection', () => resolve(true));
      socket.once('close', () => resolve(false));
      socket.on('error', () => undefined);
    });
  };

  it('end where one address has begun too many, and no longer', async () => {
    const begun: Socket[] = [];
    for (let count = 0; count < MAX; count += 1) begun.push(await begin());
    assert.equal(await finish(), false, 'no place is left');
    begun[0]?.destroy();
    while (!(await finish()));
    for (let count = 0; count < MAX; count += 1)
      assert.equal(await finish(), true, 'those that are done take no place');
  });
});
