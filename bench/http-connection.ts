import { once } from 'node:events';
import { connect } from 'node:net';

/** A connection that carries one request at a time. */
export interface HttpConnection {
  send(request: Buffer): void;
  close(): void;
}

/** Where to, and who is told of each answer. */
export interface HttpConnectionOptions {
  readonly url: URL;
  readonly onAnswer: (connection: HttpConnection, status: number) => void;
  readonly onBroken: () => void;
}

const END_OF_HEAD = '\r\n\r\n';

/** A POST as it goes over the wire (RFC 9112). */
export function toRequest(url: URL, fields: Readonly<Record<string, string>>, body: string): Buffer {
  const all = { host: url.host, ...fields, 'content-length': Buffer.byteLength(body) };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${url.pathname} HTTP/1.1\r\n${head.join('')}\r\n${body}`);
}

/**
 * The status of a complete answer.
 * @returns undefined as long as something of it is missing
 * @throws Error for an answer that does not say its length: none of the servers here does that
 */
export function readStatus(received: Buffer): number | undefined {
  const headBytes = received.indexOf(END_OF_HEAD);
  if (headBytes === -1) return undefined;
  const head = received.toString('latin1', 0, headBytes);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without its length:\n${head}`);
  if (received.length < headBytes + END_OF_HEAD.length + Number(length)) return undefined;
  return Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
}

/** Opens a connection. Less around the socket than node:http has, so that the load's own work does not show as latency. */
export async function openConnection({ url, onAnswer, onBroken }: HttpConnectionOptions): Promise<HttpConnection> {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  await once(socket, 'connect');
  let received: Buffer | undefined;
  let isClosed = false;
  const connection: HttpConnection = {
    send: (request) => void socket.write(request),
    close: () => {
      isClosed = true;
      socket.destroy();
    },
  };
  socket.on('data', (chunk: Buffer) => {
    received = received === undefined ? chunk : Buffer.concat([received, chunk]);
    const status = readStatus(received);
    if (status === undefined) return;
    received = undefined;
    onAnswer(connection, status);
  });
  socket.on('error', () => undefined).on('close', () => !isClosed && onBroken());
  return connection;
}
