import type { X509Certificate } from 'node:crypto';
import type { SecureContext } from 'node:tls';

/** Who we are to services that ask for a client certificate. The private key is inside the context alone. */
export interface ServiceIdentity {
  readonly name: string;
  readonly context: SecureContext;
  readonly certificate: X509Certificate;
  /** The intermediates, in their order, and the root where it is among them. */
  readonly chain: readonly X509Certificate[];
  /** In seconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Why files make no identity; the message names files and quotes nothing of them. */
export class IdentityFault extends Error {
  override readonly name = 'IdentityFault';
}

/** A distinguished name on one line. */
export const toOneLine = (name: string): string => name.trim().split('\n').join(', ');
