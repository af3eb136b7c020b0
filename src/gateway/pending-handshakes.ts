import type { Socket } from 'node:net';
import type { Server } from 'node:tls';

/** Connections of one address whose handshake is not done; further ones are closed at once. */
export const MAX_PENDING_HANDSHAKES_PER_ADDRESS = 256;

/**
 * Keeps one address from taking every place of a server by handshakes that it never finishes.
 * SECURITY: whoever can reach the port can begin a handshake; only agents can finish one.
 */
export function limitPendingHandshakes(server: Server, max = MAX_PENDING_HANDSHAKES_PER_ADDRESS): void {
  /** Ports of connections in a handshake, by their address. */
  const pending = new Map<string, Set<number>>();
  const release = (address: string, port: number): void => {
    const ports = pending.get(address);
    ports?.delete(port);
    if (ports?.size === 0) pending.delete(address);
  };

  server.on('connection', (socket: Socket) => {
    const { remoteAddress = '', remotePort = 0 } = socket;
    const ports = pending.get(remoteAddress) ?? new Set();
    if (ports.size >= max) {
      socket.destroy();
      return;
    }
    pending.set(remoteAddress, ports.add(remotePort));
    socket.once('close', () => release(remoteAddress, remotePort));
  });
  server.on('secureConnection', ({ remoteAddress = '', remotePort = 0 }) => release(remoteAddress, remotePort));
}
