import { AppError } from '../core/errors.ts';
import { parseHost } from './host.ts';
import { checkTarget, isPathAllowed, PathError } from './paths.ts';

/** One application that an agent lets be reached, as its gateway knows it: nothing of the inside. */
export interface AccessRule {
  /** As `parseHost` returns it: lower case, no final dot, no brackets. */
  readonly host: string;
  readonly port: number;
  /** How people call it; the virtual host where none was given. */
  readonly name: string;
  readonly allowedPaths: '/*' | readonly string[];
  /** Upper case; all where it is left out. */
  readonly allowedMethods?: readonly string[];
  /** Whether connections may be upgraded to a web socket. */
  readonly upgrade: boolean;
  /** Whether `%2f` and `%5c` may stand in a path. */
  readonly allowEncodedSlash: boolean;
}

/** What is asked for, taken from a request's parts. */
export interface AccessQuestion {
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  /** The value of `Upgrade`, where the request asks for one. */
  readonly upgrade?: string | undefined;
}

/** A request that is allowed. */
export interface Admission {
  readonly rule: AccessRule;
  /** The path as it came, without the query. */
  readonly path: string;
}

/** Methods in capitals, as Node writes them on the wire: one in small letters would be checked as one and sent as another. */
export const METHOD = /^[A-Z]+(?:-[A-Z]+)*$/;
/** The only protocol that a connection may be upgraded to. */
const WEB_SOCKET = 'websocket';
const UNPRINTABLE = /[^\x21-\x7e]/g;
/** What is printed of a host that no rule knows, in characters. */
export const MAX_SHOWN_HOST_LENGTH = 253;

const malformed = (detail: string): AppError => new AppError('invalid_request', { values: { detail } });
const forbidden = (detail: string): AppError => new AppError('path_forbidden', { detail });

/** The rule for a virtual host, without regard to case and to the final dot of a complete name, and its port. */
export function findRule(table: readonly AccessRule[], host: string, port: number): AccessRule | undefined {
  const wanted = parseHost(host);
  return wanted === undefined ? undefined : table.find((rule) => rule.port === port && rule.host === wanted);
}

/**
 * Judges a request by an access control. The gateway and the agent both ask this, each of the same table.
 * @throws AppError application_unknown where no rule is for the host and port, with the host as `name`; invalid_request where
 *   the method or the path is refused as such; path_forbidden where the rule does not allow the path, method or upgrade
 */
export function checkRequest(table: readonly AccessRule[], question: AccessQuestion): Admission {
  const { host, port, method, target, upgrade } = question;
  const rule = findRule(table, host, port);
  if (rule === undefined) {
    const name = host.replace(UNPRINTABLE, '').slice(0, MAX_SHOWN_HOST_LENGTH);
    throw new AppError('application_unknown', { values: { name } });
  }
  if (!METHOD.test(method)) throw malformed('the method cannot be read');
  const path = readPath(target, rule.allowEncodedSlash);
  if (!isPathAllowed(path, rule.allowedPaths)) throw forbidden('path');
  // SECURITY: inside a CONNECT no path is checked.
  if (method === 'CONNECT' || rule.allowedMethods?.includes(method) === false) throw forbidden('method');
  if (upgrade !== undefined) checkUpgrade(rule, method, upgrade);
  return { rule, path };
}

/** SECURITY: on a connection that became h2c or TLS, requests would pass that nobody checks. */
function checkUpgrade(rule: AccessRule, method: string, upgrade: string): void {
  if (!rule.upgrade || upgrade.toLowerCase() !== WEB_SOCKET) throw forbidden('upgrade');
  if (method !== 'GET') throw malformed('an upgrade begins with GET');
}

function readPath(target: string, allowEncodedSlash: boolean): string {
  try {
    return checkTarget(target, allowEncodedSlash);
  } catch (error) {
    throw error instanceof PathError ? malformed(`the path ${error.message}`) : error;
  }
}
