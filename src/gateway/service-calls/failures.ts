import { AppError, type ErrorCode } from '../../core/errors.ts';

/** What was known of a connection to a service when it failed. */
export interface Progress {
  /** Whether a TCP connection stood. */
  isConnected: boolean;
  /** Whether version and cipher of TLS were agreed on. */
  isAgreed: boolean;
  /** Whether the service asked for a client certificate. */
  isAsked: boolean;
  /** Whether there was one to present. */
  hasIdentity: boolean;
}

/** Failures of connecting, in public words. */
const CONNECTING: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it refuses connections',
  ECONNRESET: 'it broke the connection off',
  EHOSTUNREACH: 'there is no way to its address',
  ENETUNREACH: 'there is no way to its network',
  ETIMEDOUT: 'it does not answer',
};

/** Why a certificate of a service does not hold (the codes of OpenSSL and of Node). */
const UNTRUSTED: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it was revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it signs itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here, or it came without its intermediates',
  CERT_SIGNATURE_FAILURE: 'its signature is wrong',
  INVALID_PURPOSE: 'it is not for servers',
};

/** Alerts by which a service says what it thinks of our certificate (RFC 8446 §6.2). */
const CERTIFICATE_ALERTS: Readonly<Record<number, string>> = {
  40: 'it ended the handshake',
  42: 'it calls the certificate bad',
  43: 'it does not take this kind of certificate',
  44: 'it calls the certificate revoked',
  45: 'it calls the certificate expired',
  46: 'it does not accept the certificate, for a reason of its own',
  48: "it does not know the certificate's authority",
  49: 'it denies access to the holder of the certificate',
  51: 'it cannot verify our signature',
  116: 'it got no certificate that it could take',
};

/** Whether it judged our certificate nobody can tell: some services close without a word. */
const ASKED = 'it had asked for a client certificate, and closed the connection without an answer';

const ALERT = /\bSSL alert number (\d{1,3})\b/;

/** The failure of connecting or of TLS, told apart by how far it got. */
export function toConnectError(error: unknown, progress: Progress): AppError {
  const { code, alert } = readFailure(error);
  if (!progress.isConnected) return unreachable(CONNECTING[code] ?? 'no connection came about', error);
  if (!progress.isAgreed) return unreachable('no TLS connection came about (TLS 1.2 or 1.3 is needed)', error);
  return (
    toCertificateError(error, alert, progress) ?? failed(progress.isAsked ? ASKED : 'it broke the handshake off', error)
  );
}

/** The failure of a service's certificate. `reason` is a code of OpenSSL or Node. */
export function toUntrustedError(reason: string): AppError {
  const detail = UNTRUSTED[reason] ?? 'it cannot be verified';
  return new AppError('service_server_untrusted', { values: { detail }, detail: reason });
}

/** The failure of a request on a connection that stood; under TLS 1.3 the service judges our certificate only now. */
export function toExchangeError(error: unknown, progress: Progress): AppError {
  const { code, alert } = readFailure(error);
  const certificate = toCertificateError(error, alert, progress);
  if (certificate) return certificate;
  if (code.startsWith('HPE_')) return failed('its answer is not HTTP/1.1 that can be read', error);
  return failed(progress.isAsked ? ASKED : 'it closed the connection without a whole answer', error);
}

/** @returns undefined where it is not about our certificate, as far as anyone can tell */
function toCertificateError(error: unknown, alert: number | undefined, progress: Progress): AppError | undefined {
  if (!progress.isAsked) return undefined;
  if (!progress.hasIdentity) return withCause('service_certificate_missing', undefined, error);
  const detail = alert === undefined ? undefined : CERTIFICATE_ALERTS[alert];
  return detail === undefined ? undefined : withCause('service_certificate_refused', detail, error);
}

function readFailure(error: unknown): { readonly code: string; readonly alert: number | undefined } {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const [, alert] = ALERT.exec(error instanceof Error ? error.message : '') ?? [];
  return { code, alert: alert === undefined ? undefined : Number(alert) };
}

const unreachable = (detail: string, cause: unknown): AppError => withCause('service_unreachable', detail, cause);
const failed = (detail: string, cause: unknown): AppError => withCause('service_failed', detail, cause);

function withCause(code: ErrorCode, detail: string | undefined, cause: unknown): AppError {
  return new AppError(code, { ...(detail !== undefined && { values: { detail } }), cause });
}
