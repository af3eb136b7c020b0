import type { Readable } from 'node:stream';

import { AppError } from '../../core/errors.ts';
import type { ServiceAnswer } from './exchange.ts';
import { type HeaderMembers, toHeaderMembers } from './header-fields.ts';
import { MAX_ANSWER_BYTES } from './limits.ts';

/** A service's answer as JSON has it. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: HeaderMembers;
  readonly body: string;
  readonly bodyEncoding: 'utf8' | 'base64';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The whole answer.
 * @throws AppError `service_answer_too_large`, `service_failed` where its body ends early; the reason of the signal
 */
export async function readJsonAnswer(
  { status, fields, body }: ServiceAnswer,
  signal: AbortSignal,
): Promise<JsonAnswer> {
  const bytes = await collect(body, signal);
  return { status, headers: toHeaderMembers(fields), ...toText(bytes) };
}

/** What says, beside a streamed body, what the service answered: base64url of JSON. */
export function toHeadersHeader({ fields }: ServiceAnswer): string {
  return Buffer.from(JSON.stringify(toHeaderMembers(fields))).toString('base64url');
}

/** The failure of a body that ended before it was whole. */
export function toBodyError(cause: unknown, signal: AbortSignal): AppError {
  if (signal.aborted && signal.reason instanceof AppError) return signal.reason;
  if (cause instanceof AppError) return cause;
  return new AppError('service_failed', { values: { detail: 'its answer ended early' }, cause });
}

async function collect(body: Readable, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      // Leaving the loop destroys the stream.
      if (size > MAX_ANSWER_BYTES)
        throw new AppError('service_answer_too_large', { values: { limit: MAX_ANSWER_BYTES } });
      chunks.push(chunk);
    }
  } catch (error) {
    throw toBodyError(error, signal);
  }
  return Buffer.concat(chunks);
}

function toText(bytes: Buffer): Pick<JsonAnswer, 'body' | 'bodyEncoding'> {
  try {
    return { body: utf8.decode(bytes), bodyEncoding: 'utf8' };
  } catch {
    return { body: bytes.toString('base64'), bodyEncoding: 'base64' };
  }
}
