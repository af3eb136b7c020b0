import type { IncomingMessage, ServerResponse } from 'node:http';

import type { RequestHandler } from 'express';
import helmet, { type HelmetOptions } from 'helmet';

import { addFields } from './header-fields.ts';

/** What helmet is told: an API answers no page, so nothing may be loaded by or framed from it. */
export const HELMET_OPTIONS: HelmetOptions = {
  contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  referrerPolicy: { policy: 'no-referrer' },
  xFrameOptions: { action: 'deny' },
};

/** Header fields as helmet sets them, in its order. */
export function computeSecurityHeaders(
  options: HelmetOptions = HELMET_OPTIONS,
): readonly (readonly [string, string])[] {
  const headers = new Map<string, string>();
  const recorder = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: (name: string) => headers.delete(name),
  };
  helmet(options)({} as IncomingMessage, recorder as unknown as ServerResponse, () => undefined);
  return [...headers];
}

/** Sets helmet's headers, which never change, from a list that helmet made once at the start. */
export function setSecurityHeaders(): RequestHandler {
  const fields = computeSecurityHeaders().flat();
  return function securityHeadersHandler(_req, res, next) {
    addFields(res, fields);
    next();
  };
}
