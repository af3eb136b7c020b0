import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const HOST = '127.0.0.1';
const TIMEOUT_MS = 20_000;

/** A connection on which a test says what it wants, byte by byte. */
export interface RawClient {
  readonly socket: Socket;
  /** All that came, Latin-1. */
  received(): string;
  send(text: string): void;
  /** Waits until what came matches. @throws when the connection ends before, or nothing of it comes in time */
  waitFor(pattern: RegExp): Promise<string>;
  /** Waits for the end of the connection. @returns all that came */
  waitForEnd(): Promise<string>;
}

/** Connects to a port of this machine. */
export async function connectRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: HOST });
  await once(socket, 'connect');
  socket.setNoDelay(true);
  let text = '';
  let isOver = false;
  const sleepers = new Set<() => void>();
  const wake = (): void => sleepers.forEach((rouse) => rouse());
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    isOver = true;
    wake();
  });
  const waitUntil = async (what: string, isSo: () => boolean): Promise<string> => {
    const deadline = performance.now() + TIMEOUT_MS;
    const timer = setTimeout(wake, TIMEOUT_MS);
    try {
      while (!isSo()) {
        if (isOver || performance.now() >= deadline)
          throw new Error(`${isOver ? 'ended' : 'waited'} without ${what}:\n${text}`);
        await new Promise<void>((resolve) => {
          sleepers.add(resolve);
        });
      }
    } finally {
      clearTimeout(timer);
    }
    return text;
  };
  return {
    socket,
    received: () => text,
    send: (given) => void socket.write(given, 'latin1'),
    waitFor: (pattern) => waitUntil(String(pattern), () => pattern.test(text)),
    waitForEnd: () => waitUntil('an end', () => isOver),
  };
}
