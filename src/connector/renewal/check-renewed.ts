import { createPrivateKey, type X509Certificate } from 'node:crypto';

import type { Credentials } from '../config/agent-config.ts';
import { findTimeFault, parseCertificates, toConnectorId, toLifetime } from '../config/pem-files.ts';

/** A certificate that came back is not what was asked for. */
export class RenewedCertificateError extends Error {
  override readonly name = 'RenewedCertificateError';
}

/** The certificate of a renewal, checked. */
export interface Renewed {
  /** PEM, as it is written. */
  readonly pem: string;
  readonly serial: string;
  readonly expiresAt: number;
}

/**
 * Checks what the gateway made of a request.
 * SECURITY: it takes the place of one that works. It must be for the new key and this connector, longer than the one in
 * use, and from an authority that the agent trusts.
 * @throws RenewedCertificateError
 */
export function checkRenewed(text: string, key: string, former: Credentials, nowSeconds: number): Renewed {
  const leaf = parseLeaf(text);
  const fault = findFault(leaf, key, former, nowSeconds);
  if (fault !== undefined) throw new RenewedCertificateError(`the renewed certificate ${fault}`);
  return {
    pem: `${text.trim()}\n`,
    serial: leaf.serialNumber.toLowerCase(),
    expiresAt: toLifetime(leaf).endsAt,
  };
}

function parseLeaf(text: string): X509Certificate {
  try {
    return parseCertificates(text)[0] as X509Certificate;
  } catch (error) {
    throw new RenewedCertificateError('what came back is no certificate', { cause: error });
  }
}

function findFault(leaf: X509Certificate, key: string, former: Credentials, nowSeconds: number): string | undefined {
  if (!leaf.checkPrivateKey(createPrivateKey(key))) return 'is for another key';
  if (toConnectorId(leaf) !== former.connectorId) return 'is for another connector';
  if (findTimeFault(leaf, nowSeconds) !== undefined) return 'is not valid now';
  if (toLifetime(leaf).endsAt <= former.expiresAt) return 'does not end later than the one in use';
  const isTrusted = parseCertificates(former.ca).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
  return isTrusted ? undefined : 'is not signed by the authority in "credentials.ca"';
}
