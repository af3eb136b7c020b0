import { findLength } from '../tunnel/fields.ts';
import type { Fields } from '../tunnel/messages.ts';

/** Whether an answer has a body at all (RFC 9110 §6.4.1); without one, its length is that of another answer. */
export const carriesBody = (method: string, status: number): boolean =>
  method !== 'HEAD' && status !== 204 && status !== 304;

/** The length that the body of an answer must have, in bytes. @returns undefined where nothing says it */
export const findBodyBytes = (method: string, status: number, fields: Fields): number | undefined =>
  carriesBody(method, status) ? findLength(fields) : 0;
