import { X509Certificate } from 'node:crypto';
import { Duplex } from 'node:stream';
import { connect, type DetailedPeerCertificate, type SecureContext, TLSSocket } from 'node:tls';

/**
 * The certificates that a context presents, the owner's first. Node opens PKCS#12 files and does not show what is in
 * them, so that a handshake inside the process has to; it proves besides that key and certificate belong together.
 */
export async function readChain(context: SecureContext): Promise<readonly X509Certificate[]> {
  const [here, there] = createPair();
  const server = new TLSSocket(there, { isServer: true, secureContext: context });
  // SECURITY: the other end is ours; what is looked at is which certificates come, not whether they are trusted.
  const client = connect({ socket: here, rejectUnauthorized: false });
  try {
    return await new Promise((resolve, reject) => {
      server.once('error', reject);
      client
        .once('error', reject)
        .once('secureConnect', () => resolve(toCertificates(client.getPeerCertificate(true))));
    });
  } finally {
    client.destroy();
    server.destroy();
  }
}

function toCertificates(first: DetailedPeerCertificate): readonly X509Certificate[] {
  const certificates: X509Certificate[] = [];
  const seen = new Set<string>();
  for (let one: DetailedPeerCertificate | undefined = first; one?.raw !== undefined; one = one.issuerCertificate) {
    // A root names itself as its issuer.
    if (seen.has(one.fingerprint256)) break;
    seen.add(one.fingerprint256);
    certificates.push(new X509Certificate(one.raw));
  }
  return certificates;
}

/** Two streams, each of which reads what is written to the other. */
function createPair(): readonly [Duplex, Duplex] {
  const create = (other: () => Duplex): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        other().push(chunk);
        done();
      },
      final: (done) => {
        other().push(null);
        done();
      },
    });
  const here: Duplex = create(() => there);
  const there: Duplex = create(() => here);
  return [here, there];
}
