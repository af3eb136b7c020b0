import type { RequestHandler } from 'express';

import { AppError } from '../core/errors.ts';

/** For the end of a route: what other methods get. */
export function allowOnly(allow: string): RequestHandler {
  return function methodNotAllowed() {
    throw new AppError('method_not_allowed', { values: { allow } });
  };
}

/** For the end of a router: what every other path gets. */
export const refuseUnknownPath: RequestHandler = () => {
  throw new AppError('not_found');
};
