import { AppError } from '../core/errors.ts';
import type { Logger } from '../http/access-log.ts';
import { MAX_PRIVATE_CLAIMS_BYTES } from '../jose/limits.ts';
import { loadClaimsFile } from './claims/file.ts';
import { createHttpClaims } from './claims/http.ts';
import type { ClaimsSource } from './claims/source.ts';
import type { ClaimsOrigin } from './settings.ts';
import type { UpstreamDeps } from './upstream.ts';

export interface ClaimsSourceDeps extends UpstreamDeps {
  readonly logger: Logger;
}

/**
 * The configured source, with the size limit that verification has.
 * @throws SettingsError when the file cannot be read
 */
export async function createClaimsSource(origin: ClaimsOrigin, deps: ClaimsSourceDeps): Promise<ClaimsSource> {
  const find = 'file' in origin ? await loadClaimsFile(origin.file, deps.logger) : createHttpClaims(deps, origin);
  return async function findClaims(identity) {
    const claims = await find(identity);
    if (claims !== undefined && Buffer.byteLength(JSON.stringify(claims)) > MAX_PRIVATE_CLAIMS_BYTES) {
      throw new AppError('claims_too_large', { values: { limit: MAX_PRIVATE_CLAIMS_BYTES } });
    }
    return claims;
  };
}
