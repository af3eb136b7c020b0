import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';

/** Takes or refuses an upgrade of a connection to a web socket. */
export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Header fields of a request that Node keeps; it obeys further ones, and forgets them. */
export const MAX_HEADER_FIELDS = 1_000;

/**
 * Whether there may have been more fields than are known.
 * SECURITY: a length that was forgotten would make the body of a request that is put back the next request.
 */
function hasLostFields({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.length >= 2 * MAX_HEADER_FIELDS;
}

/** Header fields that ask for the upgrade; without them it is an ordinary request. */
const ASKING: ReadonlySet<string> = new Set(['upgrade', 'connection', 'http2-settings']);

/**
 * Hands upgrades to a web socket to `onWebSocket`; every other request that would upgrade is answered as it is, which RFC 9110
 * §7.8 permits. Node gives a server that listens for upgrades every one of them, body unread: Java's own client asks for
 * `h2c` with each request over plain HTTP. So the request's head is put back before its body, without that wish.
 */
export function handleUpgrades(server: Server, onWebSocket: UpgradeHandler): void {
  // On a TLS server `connection` would begin another handshake, inside the one that is done.
  const connectionEvent = server instanceof TlsServer ? 'secureConnection' : 'connection';
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    // SECURITY: an earlier request on the connection has not been answered yet. Its answer would end up behind or inside of
    // what is said next, and a second parser beside it makes Node throw where nobody can catch it.
    if ((socket as { _httpMessage?: unknown })._httpMessage || hasLostFields(req)) {
      socket.destroy();
      return;
    }
    if (req.headers.upgrade?.toLowerCase() === 'websocket') {
      onWebSocket(req, socket, head);
      return;
    }
    socket.unshift(Buffer.concat([Buffer.from(toHead(req), 'latin1'), head]));
    server.emit(connectionEvent, socket);
  });
}

/** The head of a request as it came, as far as the parser took it, without what asks for an upgrade. */
function toHead({ method, url, httpVersion, headers, rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (!ASKING.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  const isLast = httpVersion === '1.0' || /\bclose\b/i.test(headers.connection ?? '');
  return `${[...lines, `Connection: ${isLast ? 'close' : 'keep-alive'}`].join('\r\n')}\r\n\r\n`;
}
