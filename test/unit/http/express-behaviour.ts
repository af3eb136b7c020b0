import type { Server } from 'node:http';

import type { ErrorRequestHandler, Express } from 'express';

import { toRequest } from './raw-http.ts';

/** Something that Express does, and how to see it from outside. */
export interface ExpressBehaviour {
  readonly mount: (app: Express) => void;
  /** What is sent on one connection. The last request asks the server to close it. */
  readonly send: readonly (string | Buffer)[];
  /** What plain Express' answer holds. */
  readonly expected: RegExp;
  /** What is done to the server before it listens. */
  readonly use?: (server: Server) => void;
}

/** A GET. */
export const get = (path = '/', ...headers: string[]): readonly string[] => [toRequest('GET', path, headers)];
/** A POST. */
export const post = (type: string, body: string): readonly string[] => [
  toRequest('POST', '/', [`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`], body),
];

/** Shows what went wrong, as long as it may. */
export const showError: ErrorRequestHandler = (error: Error, _req, res, next) => {
  if (res.headersSent) next(error);
  else res.status(418).json({ caught: error.message });
};
