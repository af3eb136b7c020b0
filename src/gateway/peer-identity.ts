import type { PeerCertificate, TLSSocket } from 'node:tls';

/** Who a certificate of ours speaks for. */
export interface PeerIdentity {
  readonly kind: 'connector' | 'gateway';
  readonly id: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** NumericDate. */
  readonly expiresAt: number;
}

/** The name that the authority puts into every certificate, `urn:countersign:connector:<id>`. */
const NAME = /^URI:urn:countersign:(connector|gateway):([\w.:-]{1,128})$/;

/**
 * Reads whom an authenticated peer's certificate was made for.
 * SECURITY: of two such names nobody knows which one counts, so there must be exactly one.
 * @returns undefined where it is none of ours
 */
export function readPeerIdentity(socket: TLSSocket): PeerIdentity | undefined {
  if (!socket.authorized) return undefined;
  // Node leaves out what a certificate does not have.
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate();
  const { subjectaltname = '', serialNumber = '', valid_to: validTo = '' } = certificate;
  const names = subjectaltname.split(', ').flatMap((name) => {
    const [, kind, id = ''] = NAME.exec(name) ?? [];
    return kind === undefined ? [] : [{ kind: kind as PeerIdentity['kind'], id }];
  });
  const [name] = names;
  const expiresAt = Date.parse(validTo) / 1000;
  if (name === undefined || names.length > 1 || serialNumber === '' || Number.isNaN(expiresAt)) return undefined;
  return { ...name, serial: serialNumber.toLowerCase(), expiresAt };
}
