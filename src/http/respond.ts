import type { Request, Response } from 'express';

import { type AppError, ERRORS, type ErrorRow, toPublicMessage } from '../core/errors.ts';
import { writeFields } from './header-fields.ts';

/** Members of an error body in one of the two shapes. */
export type ErrorRenderer = (error: AppError) => { readonly status: number; readonly body: object };

const toRow = (error: AppError): ErrorRow => ERRORS[error.code];

/** `{"errors":[{"msg","code"}]}`, the seeds' shape; `code` is the HTTP status. */
export const toSeedsError: ErrorRenderer = (error) => {
  const { status } = toRow(error);
  return { status, body: { errors: [{ msg: toPublicMessage(error), code: status }] } };
};

/** `{"error","error_description"}`, RFC 6749 §5.2. */
export const toOauthError: ErrorRenderer = (error) => {
  const { oauth, oauthStatus, status } = toRow(error);
  // RFC 6749 §5.2 allows no quotation mark, no backslash and nothing outside ASCII in a description.
  return {
    status: oauthStatus ?? status,
    body: {
      error: error.oauth ?? oauth,
      error_description: toPublicMessage(error).replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'"),
    },
  };
};

/** Answers JSON that nobody may store. */
export function sendJson(res: Response, status: number, body: object): void {
  sendJsonText(res, status, JSON.stringify(body));
}

/** The same for a body that is JSON already. */
export function sendJsonText(res: Response, status: number, text: string): void {
  writeFields(res, status, [
    'Content-Type',
    'application/json; charset=utf-8',
    'Cache-Control',
    'no-store',
    'Content-Length',
    Buffer.byteLength(text),
  ]);
  res.end(text);
}

/** Answers a failure: status, body, and the challenge, `Retry-After` or `Allow` that belongs to it. */
export function sendError(req: Request, res: Response, error: AppError, render: ErrorRenderer): void {
  const { status, body } = render(error);
  if (status === 503 || status === 429) res.setHeader('Retry-After', String(Math.ceil(error.values.seconds ?? 1)));
  if (error.values.allow !== undefined) res.setHeader('Allow', error.values.allow);
  if (status === 401) res.setHeader('WWW-Authenticate', error.challenge ?? toChallenge(req, error, render));
  // What is left of a body that nobody will read must not be taken for the next request.
  if (!req.complete) res.setHeader('Connection', 'close');
  sendJson(res, status, body);
}

/**
 * The challenge: on OAuth's routes in the scheme that the request used (RFC 6749 §5.2), else as RFC 6750 §3 has it: an error code only
 * where a token was presented as a bearer and did not hold.
 */
function toChallenge(req: Request, error: AppError, render: ErrorRenderer): string {
  if (render === toOauthError && /^basic /i.test(req.headers.authorization ?? '')) return 'Basic realm="countersign"';
  const isToken = error.code === 'bearer_invalid' || error.code === 'credential_invalid';
  return isToken ? 'Bearer realm="countersign", error="invalid_token"' : 'Bearer realm="countersign"';
}
