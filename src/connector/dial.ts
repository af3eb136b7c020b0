import { isIP } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { PROTOCOL } from '../tunnel/limits.ts';
import type { Credentials, ProxySettings } from './config/agent-config.ts';
import { DialError } from './dial-error.ts';
import { connectThroughProxy, isDirect, toAuthority } from './proxy-connect.ts';

/** Until a gateway is connected and has shown its certificate, the way through a proxy included, in milliseconds. */
export const DIAL_TIMEOUT_MS = 15_000;
/** How often the system checks a connection that is silent, in milliseconds. */
const TCP_KEEPALIVE_MS = 30_000;
const HTTPS_PORT = 443;
const NODE_URI = /(?:^|[ ,])URI:urn:countersign:gateway:([\w.:/-]{1,128})(?:,|$)/;
const LOCAL_FAULTS =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_|HOSTNAME_|INVALID_|PATH_LENGTH|ERROR_IN_CERT)/;

/** Where to dial, and as whom. */
export interface DialOptions {
  /** `https://host[:port]`. */
  readonly url: string;
  readonly credentials: Pick<Credentials, 'key' | 'cert' | 'ca'>;
  readonly proxy?: ProxySettings;
  readonly timeoutMs?: number;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/** A connected gateway. */
export interface Dialled {
  readonly socket: TLSSocket;
  /** Which node answered, where its certificate says so. */
  readonly node: string | undefined;
}

/** The host and port of a gateway's address, an IPv6 host without brackets. */
export function toGatewayAddress(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || HTTPS_PORT };
}

function toTlsOptions({ credentials }: DialOptions, host: string): ConnectionOptions {
  return {
    minVersion: 'TLSv1.2',
    ALPNProtocols: [PROTOCOL],
    key: credentials.key.reveal(),
    cert: credentials.cert,
    // SECURITY: nobody else's word counts, neither the system's authorities nor NODE_TLS_REJECT_UNAUTHORIZED.
    ca: credentials.ca,
    rejectUnauthorized: true,
    host,
    ...(isIP(host) === 0 && { servername: host }),
  };
}

function toDialError(error: Error & { code?: string }, name: string): DialError {
  const code = error.code ?? '';
  if (LOCAL_FAULTS.test(code)) {
    return new DialError(
      'untrusted',
      `the certificate of ${name} is not trusted (${error.message}): check credentials/ca.crt, the address, and that no proxy opens TLS`,
      error,
    );
  }
  if (/ALERT|ALPN/.test(code)) {
    return new DialError(
      'refused',
      `${name} refuses the handshake (${error.message}): check the certificate and the port`,
      error,
    );
  }
  return new DialError('unreachable', `${name} cannot be reached: ${error.message || code}`, error);
}

/** One TLS connection to a gateway, through the proxy where there is one. @throws DialError */
export async function dial(options: DialOptions): Promise<Dialled> {
  const { host, port } = toGatewayAddress(options.url);
  const name = `the gateway ${toAuthority(host, port)}`;
  const timeout = AbortSignal.timeout(options.timeoutMs ?? DIAL_TIMEOUT_MS);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  try {
    const { proxy } = options;
    const tunnel =
      proxy === undefined || isDirect(host, proxy.noProxy)
        ? undefined
        : await connectThroughProxy(proxy, host, port, signal);
    const tls = toTlsOptions(options, host);
    const socket = connect(tunnel === undefined ? { ...tls, port } : { ...tls, socket: tunnel });
    await waitForHandshake(socket, name, signal);
    if (socket.alpnProtocol !== PROTOCOL) {
      socket.destroy();
      throw new DialError('refused', `${name} does not speak ${PROTOCOL}: is this the port for agents?`);
    }
    socket.setNoDelay(true).setKeepAlive(true, TCP_KEEPALIVE_MS);
    return { socket, node: NODE_URI.exec(socket.getPeerCertificate().subjectaltname ?? '')?.[1] };
  } catch (error) {
    if (options.signal?.aborted === true) throw new DialError('stopped', 'the dial was given up', error);
    throw error;
  }
}

function waitForHandshake(socket: TLSSocket, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off('secureConnect', onSecure).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: DialError): void => {
      settle();
      socket.on('error', () => undefined).destroy();
      reject(error);
    };
    const onSecure = (): void => {
      settle();
      resolve();
    };
    const onError = (error: Error): void => fail(toDialError(error, name));
    const onClose = (): void => fail(new DialError('unreachable', `${name} closed the connection in the handshake`));
    const onAbort = (): void => fail(new DialError('timed_out', `${name} did not answer in time`, signal.reason));
    socket.on('secureConnect', onSecure).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
