import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';

import { type FoundAddress, pinTo } from '../../http/outbound/destination.ts';
import { type Progress, toConnectError, toUntrustedError } from './failures.ts';
import type { ServiceUrl } from './service-url.ts';

/** A connection to a service, and how far it got. */
export interface ServiceConnection {
  readonly socket: Socket;
  readonly progress: Readonly<Progress>;
}

/** What a connection is opened with. */
export interface ConnectOptions {
  /** Checked ones, and no others. */
  readonly addresses: readonly FoundAddress[];
  readonly context: SecureContext;
  readonly hasIdentity: boolean;
}

/**
 * Connects to a service; with TLS, its certificate is verified before a byte of the request leaves.
 * @throws AppError `service_unreachable`, `service_server_untrusted`, `service_certificate_missing`,
 * `service_certificate_refused`; the signal's reason when that is aborted first
 */
export async function connectTo(
  url: ServiceUrl,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<ServiceConnection> {
  signal.throwIfAborted();
  const progress: Progress = { isConnected: false, isAgreed: false, isAsked: false, hasIdentity: options.hasIdentity };
  const at = { host: url.host, port: url.port, lookup: pinTo(options.addresses) };
  const socket = url.isSecure ? openTls(url, at, options.context, progress) : connectTcp(at);
  const giveUp = (): void => void socket.destroy();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await waitFor(socket, url.isSecure ? 'secureConnect' : 'connect', progress);
    return { socket, progress };
  } catch (error) {
    signal.throwIfAborted();
    const { authorizationError } = socket as Partial<TLSSocket>;
    throw authorizationError == null ? toConnectError(error, progress) : toUntrustedError(String(authorizationError));
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

interface At {
  readonly host: string;
  readonly port: number;
  readonly lookup: LookupFunction;
}

function openTls(url: ServiceUrl, at: At, secureContext: SecureContext, progress: Progress): TLSSocket {
  const socket = connectTls({
    ...at,
    secureContext,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    ...(isIP(url.host) === 0 && { servername: url.host }),
  });
  // Secrets come by once version and cipher are agreed on, the last of them behind the service's request for a certificate.
  // SECURITY: they are neither read nor kept.
  const look = (): void => {
    progress.isAgreed = true;
    // The algorithms that both ends sign with are known to a client only from a request for its certificate.
    if (!socket.destroyed) progress.isAsked ||= (socket.getSharedSigalgs() as readonly string[]).length > 0;
  };
  socket.on('keylog', look).once('secureConnect', look);
  return socket;
}

function waitFor(socket: Socket, ready: 'connect' | 'secureConnect', progress: Progress): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => {
      progress.isConnected = true;
    });
    const onClose = (): void => reject(new Error('closed before it was ready'));
    socket.once('error', reject).once('close', onClose);
    socket.once(ready, () => {
      // Until the request listens: a socket may fail between.
      socket.on('error', () => undefined);
      socket.off('error', reject).off('close', onClose);
      resolve();
    });
  });
}
