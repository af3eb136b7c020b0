import type { IncomingMessage } from 'node:http';

import { AppError } from '../../core/errors.ts';
import { isLoopbackAddress, isLoopbackAuthority } from '../../core/loopback.ts';
import type { CallerCheck } from './caller.ts';

/**
 * Anyone, for anyone; for a laptop. Unless the network is let in, only requests that name this machine in `Host` and
 * come from it, as far as proxies are believed: a page whose name was made to point here is refused, and so is a tunnel.
 */
export function createOpenCheck(isNetworkAllowed: boolean): CallerCheck {
  return async function checkOpen(req) {
    if (!isNetworkAllowed && !isLocal(req)) throw new AppError('issuer_not_local');
    return { kind: 'any' };
  };
}

function isLocal(req: IncomingMessage & { ip?: string | undefined }): boolean {
  const address = req.ip ?? req.socket.remoteAddress ?? '';
  return isLoopbackAddress(address) && isLoopbackAuthority(req.headers.host ?? '');
}
