import type { IncomingMessage } from 'node:http';

/** The longest credential that is looked at, in characters. */
const MAX_CREDENTIAL_LENGTH = 8_192;

const BEARER = /^bearer +([\w\-.~+/]+=*) *$/i;
const DPOP = /^dpop +([\w\-.~+/]+=*) *$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+=*) *$/i;

/**
 * The token of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme without case, as stock clients send it.
 * @returns undefined where there is none, or another scheme
 */
export function readBearer(req: IncomingMessage): string | undefined {
  const { authorization = '' } = req.headers;
  return authorization.length > MAX_CREDENTIAL_LENGTH ? undefined : BEARER.exec(authorization)?.[1];
}

/** The token of `Authorization: DPoP …` (RFC 9449 §7.1). @returns undefined where there is none, or another scheme */
export function readDpopToken(req: IncomingMessage): string | undefined {
  const { authorization = '' } = req.headers;
  return authorization.length > MAX_CREDENTIAL_LENGTH ? undefined : DPOP.exec(authorization)?.[1];
}

/**
 * The password of `Authorization: Basic …` (RFC 7617), percent-decoded as RFC 6749 §2.3.1 asks; its user name tells nothing here.
 * @returns undefined where there is none, or another scheme
 */
export function readBasicPassword(req: IncomingMessage): string | undefined {
  const { authorization = '' } = req.headers;
  const encoded = authorization.length > MAX_CREDENTIAL_LENGTH ? undefined : BASIC.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const pair = Buffer.from(encoded, 'base64').toString();
  const password = pair.slice(pair.indexOf(':') + 1);
  try {
    return pair.includes(':') ? decodeURIComponent(password.replaceAll('+', ' ')) : undefined;
  } catch {
    return undefined;
  }
}
