import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CONNECTOR_LIFETIME_DAYS, RENEWED_LIFETIME_DAYS } from '../../../src/gateway/certificates/authority.ts';
import { addCertificate, revokeCertificate } from '../../../src/gateway/connector-certificates.ts';
import type { StoredCertificate } from '../../../src/gateway/connector-documents.ts';

const DAY = 86_400;
const issue = (serial: string, day: number, days: number, renewedFrom?: string): StoredCertificate => ({
  serial,
  issuedAt: day * DAY,
  expiresAt: (day + days) * DAY,
  ...(renewedFrom !== undefined && { renewedFrom }),
});

describe('the certificates of a connector', () => {
  const parent = issue('parent', 0, CONNECTOR_LIFETIME_DAYS);
  const child = issue('child', CONNECTOR_LIFETIME_DAYS - 1, RENEWED_LIFETIME_DAYS, 'parent');
  const childEndsOn = CONNECTOR_LIFETIME_DAYS - 1 + RENEWED_LIFETIME_DAYS;

  for (const day of [CONNECTOR_LIFETIME_DAYS + 2, childEndsOn - 1]) {
    it(`know on day ${day} from which one that is over a valid one was renewed`, () => {
      const known = addCertificate([parent, child], issue('other', day, RENEWED_LIFETIME_DAYS), day * DAY);
      const revoked = revokeCertificate(known, 'parent', day * DAY).filter(({ revokedAt }) => revokedAt !== undefined);
      assert.deepEqual(
        revoked.map(({ serial }) => serial),
        ['parent', 'child'],
      );
    });
  }

  it('forget one that is over with all that it was renewed to', () => {
    const day = childEndsOn + 1;
    const known = addCertificate([parent, child], issue('other', day, RENEWED_LIFETIME_DAYS), day * DAY);
    assert.deepEqual(
      known.map(({ serial }) => serial),
      ['child', 'other'],
    );
  });
});
