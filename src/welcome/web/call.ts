/** A request as it is sent. */
export interface CallRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly text: string;
  /** The members of a JSON object; empty where the body is anything else. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** A request and what became of it. */
export interface Call {
  readonly request: CallRequest;
  /** Absent where nothing came back. */
  readonly answer?: Answer;
  /** What went wrong, in words; absent where the server agreed. */
  readonly failure?: string;
  readonly durationMs: number;
}

const TIMEOUT_MS = 10_000;

/** A request whose body is JSON. */
export function toPost(url: string, members: object): CallRequest {
  return { method: 'POST', url, headers: { 'content-type': 'application/json' }, body: JSON.stringify(members) };
}

/** Sends a request; a failure of the network is an outcome, not an exception. */
export async function send(request: CallRequest): Promise<Call> {
  const startedAt = performance.now();
  const { method, headers, body } = request;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(request.url, {
      method,
      headers,
      signal,
      cache: 'no-store',
      ...(body !== undefined && { body }),
    });
    const answer = toAnswer(response, await response.text());
    const failure = response.ok ? undefined : describeRefusal(answer, response.headers.get('retry-after'));
    return { request, answer, durationMs: performance.now() - startedAt, ...(failure && { failure }) };
  } catch {
    const { origin } = new URL(request.url);
    const failure = signal.aborted
      ? `No answer from ${origin} within ${TIMEOUT_MS / 1000} s.`
      : `No answer from ${origin}. Is it running, and does it let pages of ${location.origin} read its answers (COUNTERSIGN_CORS_ORIGINS)?`;
    return { request, failure, durationMs: performance.now() - startedAt };
  }
}

/** The same request for a shell; curl posts where there is a body. */
export function toCurl({ url, headers, body }: CallRequest): string {
  const words = ['curl', '-s', quote(url)];
  for (const [name, value] of Object.entries(headers)) words.push('-H', quote(`${name}: ${value}`));
  if (body !== undefined) words.push('--data-raw', quote(body));
  return words.join(' ');
}

function toAnswer({ status, statusText }: Response, text: string): Answer {
  return { status, statusText, text, members: parseMembers(text) };
}

/** The members of a JSON object; empty where the text is anything else. */
export function parseMembers(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** A refusal in words: its status, the server's reason, and when to try again where it said so. */
export function describeRefusal(
  { status, members }: Pick<Answer, 'status' | 'members'>,
  retryAfter: string | null = null,
): string {
  const errors = members['errors'];
  const [first] = Array.isArray(errors) ? (errors as { msg?: unknown }[]) : [];
  const reason = typeof first?.msg === 'string' ? first.msg : 'the server gave no reason';
  return `Refused (${status}): ${reason}${retryAfter === null ? '' : `. Try again in ${retryAfter} s.`}`;
}

function quote(word: string): string {
  return /^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
