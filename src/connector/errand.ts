import { AppError } from '../core/errors.ts';
import type { AccessRule } from '../tunnel/access.ts';
import { dropHopByHop, dropOverrides, findLength } from '../tunnel/fields.ts';
import type { Fields, RequestHead } from '../tunnel/messages.ts';
import type { Backend } from './backend.ts';
import { toAuthority } from './proxy-connect.ts';

/** Methods whose requests say that they have no body (RFC 9110 §8.6). */
const SAY_EMPTY = new Set(['POST', 'PUT', 'PATCH']);
/** What the agent sets itself, in lower case. */
const OWN_FIELDS = ['host', 'x-forwarded-host'] as const;

/** A request that was admitted, and how it is sent on. */
export interface Errand {
  readonly method: string;
  readonly target: string;
  /** All but `Host`. */
  readonly fields: Fields;
  /** What the body has, in bytes; infinite where that is not known before it ends. Before an upgrade nothing may come. */
  readonly bodyBytes: number;
  /** What the connection shall become. */
  readonly upgrade: string | undefined;
  readonly backend: Backend;
  /** How people call the application. */
  readonly name: string;
}

const malformed = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });

/**
 * A request that `rule` admits, rebuilt for its application. `Host` becomes the internal one, by which its server tells
 * its sites apart; what the caller asked for goes into `X-Forwarded-Host`, in place of what anybody claimed there. The
 * form of the fields was checked when the head was read from the tunnel.
 *
 * @throws AppError invalid_request
 */
export function toErrand(
  head: RequestHead & { readonly to: { readonly host: string; readonly port: number } },
  isLast: boolean,
  rule: AccessRule,
  backend: Backend,
): Errand {
  const { method, target, upgrade, to } = head;
  const bodyBytes = findLength(head.fields);
  if (isLast && bodyBytes !== undefined && bodyBytes > 0) throw malformed('the body is missing');
  if (upgrade !== undefined && (bodyBytes ?? 0) > 0) throw malformed('an upgrade has no body');
  const fields = dropOverrides(dropHopByHop(head.fields, OWN_FIELDS), rule);
  fields.push('X-Forwarded-Host', toAuthority(to.host, to.port));
  if (upgrade !== undefined) fields.push('Connection', 'Upgrade', 'Upgrade', upgrade);
  else if (bodyBytes === undefined && !isLast) fields.push('Transfer-Encoding', 'chunked');
  else if (bodyBytes === undefined && SAY_EMPTY.has(method)) fields.push('Content-Length', '0');
  const expected = bodyBytes ?? (isLast || upgrade !== undefined ? 0 : Infinity);
  return { method, target, fields, bodyBytes: expected, upgrade, backend, name: rule.name };
}
