import { AppError } from '../../core/errors.ts';
import { type OutboundUrl, parseOutboundUrl, UrlError } from '../../http/outbound/url.ts';

/** Where a service call goes, in parts. */
export type ServiceUrl = OutboundUrl;

/**
 * Takes the URL of a service call apart.
 * @throws AppError `invalid_request` that quotes nothing
 */
export function parseServiceUrl(text: string): ServiceUrl {
  try {
    return parseOutboundUrl(text);
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    throw new AppError('invalid_request', { values: { detail: `"url" ${error.message}` } });
  }
}
