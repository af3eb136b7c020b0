import type { IncomingMessage } from 'node:http';

import { isIdentity } from '../schemas.ts';
import type { IdentityPlace } from '../settings.ts';
import {
  askUpstream,
  parseAnswer,
  parseUtf8,
  type UpstreamAnswer,
  type UpstreamDeps,
  upstreamError,
} from '../upstream.ts';
import type { CallerCheck } from './caller.ts';

/** An answer of the forward-auth URL, in bytes. */
export const MAX_FORWARD_AUTH_BYTES = 65_536;

/** Who is asked, for the log. */
const WHO = 'the forward-auth URL';

/** The header fields of the caller that are passed on. Nothing else is: no host, no address, no path. */
const PASSED_ON = ['cookie', 'authorization'] as const;

/** Where the user's name is looked for in an answer. */
const READERS: Readonly<Record<string, (answer: UpstreamAnswer, name: string) => unknown>> = {
  json: ({ bytes }, name) => {
    if (bytes === undefined) throw upstreamError(`the answer of ${WHO} is larger than ${MAX_FORWARD_AUTH_BYTES} bytes`);
    const body = parseAnswer(bytes, WHO);
    return Object.hasOwn(body, name) ? body[name] : undefined;
  },
  // Header fields come as bytes of Latin-1; names are written in UTF-8.
  header: ({ headers }, name) => parseUtf8(Buffer.from(headers.get(name) ?? '', 'latin1'), WHO),
};

/**
 * Asks a URL of the customer's who the owner of a cookie or Authorization is. 2xx with a name is a user; 401, 403 and
 * redirects (to a login page) are nobody; everything else is a service that does not work. Without either header field nobody is asked.
 */
export function createForwardAuthCheck(deps: UpstreamDeps, url: string, place: IdentityPlace): CallerCheck {
  const separator = place.indexOf(':');
  const read = READERS[place.slice(0, separator)];
  const name = place.slice(separator + 1);
  if (read === undefined || name === '') throw new TypeError('the identity is at json:<member> or header:<name>');

  return async function checkForwardAuth(req) {
    const passedOn = pickHeaders(req);
    if (passedOn === undefined) return { kind: 'nobody', reason: 'credential_missing' };
    const headers = { accept: 'application/json', ...passedOn };
    const answer = await askUpstream(deps, url, { headers }, MAX_FORWARD_AUTH_BYTES);
    if (isRefusal(answer.status)) return { kind: 'nobody', reason: 'credential_invalid' };
    if (answer.status < 200 || answer.status > 299) throw upstreamError(`${WHO} answered ${answer.status}`);
    const identity = read(answer, name);
    if (!isIdentity(identity)) throw upstreamError(`the answer of ${WHO} has no identity at ${place}`);
    return { kind: 'user', identity };
  };
}

function pickHeaders(req: IncomingMessage): Readonly<Record<string, string>> | undefined {
  const present = PASSED_ON.flatMap((name) => {
    const value = req.headers[name];
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  return present.length > 0 ? Object.fromEntries(present) : undefined;
}

const isRefusal = (status: number): boolean => status === 401 || status === 403 || (status >= 300 && status <= 399);
