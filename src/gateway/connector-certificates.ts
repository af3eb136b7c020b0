import { AppError } from '../core/errors.ts';
import { CONNECTOR_LIFETIME_DAYS, RENEWED_LIFETIME_DAYS } from './certificates/authority.ts';
import { isLive, type StoredCertificate } from './connector-documents.ts';

/** Certificates of one connector that are valid at one time, at most: one for each server, and its renewals. */
export const MAX_CERTIFICATES = 128;

/** On its last day a certificate may still be renewed. */
const KEPT_SECONDS = (CONNECTOR_LIFETIME_DAYS + RENEWED_LIFETIME_DAYS) * 86_400;

/**
 * Adds a certificate to those of a connector and forgets the ones that are long over.
 * @throws AppError `certificate_limit`
 */
export function addCertificate(
  certificates: readonly StoredCertificate[],
  added: StoredCertificate,
  nowSeconds: number,
): StoredCertificate[] {
  const live = certificates.filter((one) => isLive(one, nowSeconds));
  if (live.length >= MAX_CERTIFICATES) {
    throw new AppError('certificate_limit', { values: { limit: MAX_CERTIFICATES } });
  }
  // What is over stays as long as a certificate that was renewed from it could live: revocation goes along these links.
  const over = certificates
    .filter((one) => !isLive(one, nowSeconds) && one.issuedAt + KEPT_SECONDS > nowSeconds)
    .slice(-MAX_CERTIFICATES);
  return [...over, ...live, added].sort((a, b) => a.issuedAt - b.issuedAt);
}

/**
 * Revokes a certificate.
 * SECURITY: with all that were renewed from it: whoever has stolen a key may have got himself another one by it.
 * @throws AppError `certificate_not_found`
 */
export function revokeCertificate(
  certificates: readonly StoredCertificate[],
  serial: string,
  nowSeconds: number,
): StoredCertificate[] {
  if (!certificates.some((one) => one.serial === serial)) throw new AppError('certificate_not_found');
  const revoked = new Set([serial]);
  for (let before = 0; before !== revoked.size;) {
    before = revoked.size;
    for (const one of certificates) if (revoked.has(one.renewedFrom ?? '')) revoked.add(one.serial);
  }
  return certificates.map((one) =>
    revoked.has(one.serial) && one.revokedAt === undefined ? { ...one, revokedAt: nowSeconds } : one,
  );
}
