import { AppError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { MAX_PRIVATE_CLAIMS_BYTES } from '../../jose/limits.ts';
import { askUpstream, parseAnswer, type UpstreamDeps, upstreamError } from '../upstream.ts';
import type { ClaimsSource } from './source.ts';

export interface HttpClaimsOrigin {
  readonly url: string;
  readonly token?: Secret;
}

/** Statuses that say: this user has no private claims. */
const NONE: readonly number[] = [204, 404];

/**
 * Private claims from a URL of the customer's: `POST {"identity":…}`, with a bearer where one is set. 200 answers a
 * JSON object of at most {@link MAX_PRIVATE_CLAIMS_BYTES}; everything else but {@link NONE} is a service that does not work.
 */
export function createHttpClaims(deps: UpstreamDeps, { url, token }: HttpClaimsOrigin): ClaimsSource {
  return async (identity) => {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(token && { authorization: `Bearer ${token.reveal()}` }),
    };
    const question = { method: 'POST', headers, body: JSON.stringify({ identity }) } as const;
    const { status, bytes } = await askUpstream(deps, url, question, MAX_PRIVATE_CLAIMS_BYTES);
    if (NONE.includes(status)) return undefined;
    if (status !== 200) throw upstreamError(`the claims URL answered ${status}`);
    if (bytes === undefined) throw new AppError('claims_too_large', { values: { limit: MAX_PRIVATE_CLAIMS_BYTES } });
    return parseAnswer(bytes, 'the claims URL');
  };
}
