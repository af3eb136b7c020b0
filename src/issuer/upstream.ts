import { AppError } from '../core/errors.ts';
import { JsonError, type JsonObject, parseJsonObject } from '../core/json.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** How the customer's services are asked. */
export interface UpstreamDeps {
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
}

/** What a service answered. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Absent where it is larger than was allowed. */
  readonly bytes?: Buffer;
}

/** The method, header fields and body of a question. */
export interface UpstreamQuestion {
  readonly method?: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/**
 * Asks one of the customer's services. The timeout spans the whole answer; redirects are not followed, so that what
 * was sent reaches no other host.
 * @throws AppError `upstream_unavailable` when no whole answer comes in time
 */
export async function askUpstream(
  { fetch, timeoutMs }: UpstreamDeps,
  url: string,
  question: UpstreamQuestion,
  maxBytes: number,
): Promise<UpstreamAnswer> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { ...question, redirect: 'manual', signal });
    const { status, headers } = response;
    const bytes = await readBytes(response, maxBytes);
    return { status, headers, ...(bytes && { bytes }) };
  } catch (cause) {
    throw upstreamError(signal.aborted ? `no answer within ${timeoutMs} ms` : 'no answer', cause);
  }
}

/** The failure of a service that this answer depends on. `detail` is for the log. */
export function upstreamError(detail: string, cause?: unknown): AppError {
  return new AppError('upstream_unavailable', { detail, cause });
}

/**
 * The JSON object of an answer. `who` answered, for the log.
 * @throws AppError `upstream_unavailable`
 */
export function parseAnswer(bytes: Buffer, who: string): JsonObject {
  const text = parseUtf8(bytes, who);
  try {
    return parseJsonObject(text);
  } catch (error) {
    throw error instanceof JsonError ? upstreamError(`the answer of ${who} ${error.message}`) : error;
  }
}

/**
 * The text of an answer, strictly: replacing what cannot be read would make two names one.
 * @throws AppError `upstream_unavailable`
 */
export function parseUtf8(bytes: Buffer, who: string): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw upstreamError(`the answer of ${who} is not UTF-8`, cause);
  }
}

async function readBytes(response: Response, maxBytes: number): Promise<Buffer | undefined> {
  const body: AsyncIterable<Uint8Array> | null = response.body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    // Leaving the loop cancels what is still to come.
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
