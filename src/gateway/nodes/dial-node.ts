import { isIP } from 'node:net';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';

import { PROTOCOL } from '../../tunnel/limits.ts';
import { toGatewayUri } from '../certificates/authority.ts';
import { parseNodeAddress } from './node-record.ts';

/** With what a gateway node shows who it is, and by what it knows the others; PEM. */
export interface NodeIdentity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** What is dialled. */
export interface NodeTarget {
  readonly nodeId: string;
  readonly address: string;
}

/**
 * A socket to another node's agent port, both ends authenticated.
 * @throws Error where it is not reached, is not the node that it should be, or speaks another protocol
 */
export async function dialNode(target: NodeTarget, identity: NodeIdentity, signal: AbortSignal): Promise<TLSSocket> {
  const at = parseNodeAddress(target.address);
  if (at === undefined) throw new Error('the address is no host:port');
  signal.throwIfAborted();
  const socket = connect({
    ...at,
    ...(isIP(at.host) === 0 && { servername: at.host }),
    ...identity,
    // Between gateways there is nothing older.
    minVersion: 'TLSv1.3',
    ALPNProtocols: [PROTOCOL],
    // SECURITY: any certificate of the authority would do without this, an agent's too.
    checkServerIdentity: (_host, certificate) => findStranger(certificate, target.nodeId),
  });
  socket.setNoDelay(true);
  const onAbort = (): void => void socket.destroy(new Error('it took too long'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the connection was closed')));
    });
    if (socket.alpnProtocol !== PROTOCOL) throw new Error(`the other end does not speak ${PROTOCOL}`);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** @returns why a certificate is not the one of a node, undefined where it is */
function findStranger({ subjectaltname = '' }: PeerCertificate, nodeId: string): Error | undefined {
  // Node escapes commas within a name.
  const isNode = subjectaltname.split(', ').includes(`URI:${toGatewayUri(nodeId)}`);
  return isNode ? undefined : new Error('the certificate is not that of the node');
}
