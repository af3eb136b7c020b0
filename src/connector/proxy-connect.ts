import { connect, isIPv6, type Socket } from 'node:net';

import type { ProxySettings } from './config/agent-config.ts';
import { DialError } from './dial-error.ts';

/** The largest answer of a proxy to CONNECT, in bytes. */
export const MAX_PROXY_HEAD_BYTES = 16_384;

const HEAD_END = '\r\n\r\n';
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})(?:[ \r]|$)/;

/** What a proxy says instead of 2xx, and what to do about it. */
const REFUSALS: Readonly<Record<number, string>> = {
  403: 'does not allow connections to the gateway: have its host and port permitted there',
  407: 'asks for a user and a password, or does not accept those that are configured: see "tunnel" in connectorconfig.json',
  502: 'cannot reach the gateway',
  503: 'cannot reach the gateway',
  504: 'had no answer from the gateway',
};

/** Host and port as they stand in a URL. */
export const toAuthority = (host: string, port: number): string => `${isIPv6(host) ? `[${host}]` : host}:${port}`;

/** Whether a host is dialled without the proxy. */
export function isDirect(host: string, noProxy: readonly string[]): boolean {
  const name = host.toLowerCase();
  return noProxy.some((entry) => {
    if (entry === '*' || entry === name) return true;
    const suffix = entry.replace(/^\*/, '');
    return suffix.startsWith('.') && (name.endsWith(suffix) || name === suffix.slice(1));
  });
}

function toConnectRequest(to: string, { user, password }: ProxySettings): string {
  const lines = [`CONNECT ${to} HTTP/1.1`, `Host: ${to}`];
  if (user !== undefined) {
    const basic = Buffer.from(`${user}:${password?.reveal() ?? ''}`, 'utf8').toString('base64');
    lines.push(`Proxy-Authorization: Basic ${basic}`);
  }
  return lines.join('\r\n') + HEAD_END;
}

/** @throws DialError unless the head of an answer opens the tunnel */
function checkAnswer(head: string, name: string): void {
  const status = Number(STATUS_LINE.exec(head)?.[1] ?? 0);
  if (status >= 200 && status < 300) return;
  if (status === 0)
    throw new DialError('proxy', `${name} does not answer as an HTTP proxy: check proxyHost and proxyPort`);
  throw new DialError('proxy', `${name} answered ${status}: it ${REFUSALS[status] ?? 'refuses the connection'}`);
}

/**
 * A TCP connection to `host:port` through an HTTP proxy. What came behind the proxy's answer is still to be read.
 * @throws DialError that names the proxy; and when `signal` is aborted
 */
export function connectThroughProxy(
  proxy: ProxySettings,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const name = `the proxy ${toAuthority(proxy.host, proxy.port)}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ host: proxy.host, port: proxy.port });
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let hasConnected = false;

    const settle = (): void => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: DialError): void => {
      settle();
      // Whatever the socket still has to say is nobody's any more.
      socket.on('error', () => undefined).destroy();
      reject(error);
    };
    const onError = (cause: Error): void => {
      const what = hasConnected ? 'broke off' : 'cannot be reached';
      fail(new DialError('proxy', `${name} ${what}: ${cause.message}`, cause));
    };
    const onClose = (): void => fail(new DialError('proxy', `${name} closed the connection without an answer`));
    const onAbort = (): void => {
      const what = hasConnected ? 'did not answer in time' : 'cannot be reached: no answer in time';
      fail(new DialError('timed_out', `${name} ${what}`, signal.reason));
    };
    const onData = (chunk: Buffer): void => {
      received.push(chunk);
      receivedBytes += chunk.length;
      const all = Buffer.concat(received);
      const end = all.indexOf(HEAD_END);
      if (end === -1 && receivedBytes <= MAX_PROXY_HEAD_BYTES) return;
      try {
        if (end === -1 || end > MAX_PROXY_HEAD_BYTES) {
          throw new DialError('proxy', `${name} answered with more than ${MAX_PROXY_HEAD_BYTES} bytes of head`);
        }
        checkAnswer(all.toString('latin1', 0, end), name);
      } catch (error) {
        fail(error as DialError);
        return;
      }
      settle();
      socket.pause();
      const rest = all.subarray(end + HEAD_END.length);
      if (rest.length > 0) socket.unshift(rest);
      resolve(socket);
    };
    socket.on('data', onData).on('error', onError).on('close', onClose);
    socket.once('connect', () => {
      hasConnected = true;
      socket.write(toConnectRequest(toAuthority(host, port), proxy));
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
