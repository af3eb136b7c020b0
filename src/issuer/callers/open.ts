import type { IncomingMessage } from 'node:http';

import { AppError } from '../../core/errors.ts';
import { isLoopbackAddress, isLoopbackAuthority } from '../../core/loopback.ts';
import type { CallerCheck } from './caller.ts';

/** Header fields of proxies: who sends them speaks for somebody else, who need not be on this machine. */
const PROXY_FIELD = /^(forwarded|via|x-real-ip|x-forwarded-.*|cf-.*)$/;

/**
 * Anyone, for anyone; for a laptop. Unless the network is let in, only requests that come from this machine, name it in
 * `Host` and passed no proxy that says so: a page whose name was made to point here is refused, and most tunnels. A proxy
 * on this machine that rewrites `Host` and adds nothing cannot be told.
 */
export function createOpenCheck(isNetworkAllowed: boolean): CallerCheck {
  return async function checkOpen(req) {
    if (!isNetworkAllowed && !isLocal(req)) throw new AppError('issuer_not_local');
    return { kind: 'any' };
  };
}

function isLocal({ headers, rawHeaders, socket, url = '' }: IncomingMessage): boolean {
  return (
    isLoopbackAddress(socket.remoteAddress ?? '') &&
    isLoopbackAuthority(headers.host ?? '') &&
    rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host').length === 1 &&
    url.startsWith('/') &&
    !Object.keys(headers).some((name) => PROXY_FIELD.test(name))
  );
}
