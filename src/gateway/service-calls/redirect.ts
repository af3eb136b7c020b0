import { AppError } from '../../core/errors.ts';
import type { ServiceAnswer, ServiceRequest } from './exchange.ts';
import { findField, toHarmlessFields, withoutBodyFields } from './header-fields.ts';
import { parseServiceUrl, type ServiceUrl } from './service-url.ts';

/** Statuses that lead elsewhere, and whether the method and the body go along (RFC 9110 §15.4). */
const REDIRECTS: Readonly<Record<number, { readonly keepsMethod: boolean }>> = {
  301: { keepsMethod: false },
  302: { keepsMethod: false },
  303: { keepsMethod: false },
  307: { keepsMethod: true },
  308: { keepsMethod: true },
};

/**
 * The request that an answer leads to.
 * @returns undefined where the answer is the last one: no redirect, or one that would send a body to another origin or a
 * second time where it was a stream
 * @throws AppError `service_failed` where what it leads to is no URL that may be called
 */
export function toNextRequest(request: ServiceRequest, { status, fields }: ServiceAnswer): ServiceRequest | undefined {
  const redirect = REDIRECTS[status];
  const location = findField(fields, 'location');
  if (redirect === undefined || location === undefined) return undefined;
  const { method, body } = request;
  const url = resolve(location, request.url);
  const isSafe = method === 'GET' || method === 'HEAD';
  const keepsBody = body !== undefined && (redirect.keepsMethod || isSafe);
  const isOtherOrigin = url.origin !== request.url.origin;
  if (keepsBody && (isOtherOrigin || !Buffer.isBuffer(body))) return undefined;
  // SECURITY: what was written for one origin may be a credential, whatever its name.
  const own = isOtherOrigin ? toHarmlessFields(request.fields) : request.fields;
  return {
    method: redirect.keepsMethod || isSafe ? method : 'GET',
    url,
    fields: keepsBody || body === undefined ? own : withoutBodyFields(own),
    body: keepsBody ? body : undefined,
  };
}

function resolve(location: string, { origin, target }: ServiceUrl): ServiceUrl {
  try {
    const url = new URL(location, origin + target);
    url.hash = '';
    return parseServiceUrl(url.href);
  } catch (cause) {
    throw new AppError('service_failed', { values: { detail: 'it redirects to what is no usable URL' }, cause });
  }
}
