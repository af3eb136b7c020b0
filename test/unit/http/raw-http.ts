import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const PATIENCE_MS = 8_000;

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Field names in lower case; several fields of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A connection that sends exactly what it is told. */
export interface RawConnection {
  readonly socket: Socket;
  send(bytes: string | Buffer): void;
  /** Everything received so far, one character a byte. */
  received(): string;
  /** Waits until `isThere` says yes of what was received. @throws with what was received when the patience ends */
  until(isThere: (received: string) => boolean): Promise<string>;
  /** Waits until the other side has closed. */
  closed(): Promise<string>;
}

/** Connects to a port of this machine. */
export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  // What the other side does to the connection shows in what was received.
  socket.on('error', () => undefined);
  socket.once('close', () => (isClosed = true));
  await once(socket, 'connect');
  const wait = (isDone: () => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (isDone()) finish(() => resolve(text));
        else if (isClosed) finish(() => reject(new Error(`the connection was closed after: ${text}`)));
      };
      const timer = setTimeout(() => finish(() => reject(new Error(`waited in vain after: ${text}`))), PATIENCE_MS);
      const finish = (end: () => void): void => {
        clearTimeout(timer);
        socket.off('data', look).off('close', look);
        end();
      };
      socket.on('data', look).on('close', look);
      look();
    });
  return {
    socket,
    send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    received: () => text,
    until: (isThere) => wait(() => isThere(text)),
    closed: () => wait(() => isClosed),
  };
}

/** Sends bytes on a connection of their own and returns all that came until the server closed it. */
export async function sendRaw(port: number, ...parts: readonly (string | Buffer)[]): Promise<string> {
  const connection = await openRaw(port);
  for (const part of parts) connection.send(part);
  return connection.closed();
}

/** Splits one answer; chunked bodies stay as they are. */
export function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { status: Number(statusLine.split(' ')[1]), headers, body: text.slice(end + 4) };
}

/** A request text that asks the server to close afterwards. */
export function toRequest(method: string, path: string, headers: readonly string[] = [], body = ''): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: test', 'Connection: close', ...headers, '', body].join('\r\n');
}
