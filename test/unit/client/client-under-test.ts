import { type Client, type ClientOptions, createClient } from '../../../src/client/client.ts';

/** What a made-up server says: a status, a body and headers; `silence` never answers, `broken` ends the connection. */
export type Reply =
  | readonly [status: number, body: object | string, headers?: Readonly<Record<string, string>>]
  | 'silence'
  | 'broken';

export interface Request {
  readonly path: string;
  readonly init: RequestInit;
  /** A text or a form as it is sent; empty for anything else. */
  readonly body: string;
}

/** Replies by path, in their order; the last one stays. A promise keeps its caller waiting. */
export type Script = Readonly<Record<string, readonly (Reply | Promise<Reply>)[]>>;

export const IDPROXY = 'http://idproxy.test';
export const USER = { url: 'http://issuer.test/users/sts', identity: 'alice@example.com' };

/** A grant of the exchange. */
export const toGrant = (token: string, lifeSeconds = 3600): Reply => [
  200,
  { access_token: token, token_type: 'Bearer', expires_in: lifeSeconds },
];
export const toJwt = (jwt: string): Reply => [200, { jwt }];
export const toRefusal = (status: number, msg: string, headers = {}): Reply => [
  status,
  { errors: [{ msg, code: status }] },
  headers,
];

export interface ClientUnderTest {
  readonly client: Client;
  readonly requests: readonly Request[];
  /** The delays that were asked for between tries, in milliseconds. */
  readonly delaysMs: readonly number[];
  /** Requests on a path. */
  count(path: string): number;
  pass(ms: number): void;
  /** Lets time pass from one timer to the next until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Lets everything happen that needs no time. */
  flush(): Promise<void>;
}

interface Timer {
  readonly atMs: number;
  readonly wake: () => void;
}

const toText = (body: unknown): string =>
  typeof body === 'string' || body instanceof URLSearchParams ? body.toString() : '';

const TIMEOUT_MS = 10_000;
/** When a test begins, in milliseconds since the epoch. */
export const NOW_MS = 1_000_000;

/** A client with a clock, timers, chance and servers that the test holds. */
export function createClientUnderTest(script: Script, options: Partial<ClientOptions> = {}): ClientUnderTest {
  let nowMs = NOW_MS;
  const timers = new Set<Timer>();
  const requests: Request[] = [];
  const delaysMs: number[] = [];

  const sleep: ClientOptions['sleep'] = (delayMs, signal) =>
    new Promise((done) => {
      if (delayMs !== TIMEOUT_MS) delaysMs.push(delayMs);
      const timer = { atMs: nowMs + delayMs, wake: done };
      timers.add(timer);
      signal.addEventListener('abort', () => timers.delete(timer));
    });

  const answer = async (url: string | URL, init: RequestInit): Promise<Response> => {
    const path = new URL(url).pathname;
    const replies = script[path];
    if (!replies) throw new Error(`nobody expected ${path}`);
    const next = replies[Math.min(count(path), replies.length - 1)];
    requests.push({ path, init, body: toText(init.body) });
    const reply = await next;
    if (reply === undefined || reply === 'broken') throw new TypeError('fetch failed');
    if (reply === 'silence')
      return new Promise((_, fail) =>
        init.signal?.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError'))),
      );
    const [status, body, headers = {}] = reply;
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers: { ...headers } });
  };

  const count = (path: string): number => requests.filter((request) => request.path === path).length;
  const flush = async (): Promise<void> => {
    for (let turn = 0; turn < 4; turn += 1) await new Promise<void>((done) => void setImmediate(done));
  };
  const client = createClient({
    idproxyUrl: IDPROXY,
    issuer: USER,
    timeoutMs: TIMEOUT_MS,
    nowMs: () => nowMs,
    random: () => 0.5,
    fetch: answer,
    sleep,
    ...options,
  });

  return {
    client,
    requests,
    delaysMs,
    count,
    flush,
    pass: (ms) => {
      nowMs += ms;
    },
    async settle(promise) {
      let isOver = false;
      void promise.then(
        () => (isOver = true),
        () => (isOver = true),
      );
      for (;;) {
        await flush();
        if (isOver) return promise;
        const [next] = [...timers].sort((a, b) => a.atMs - b.atMs);
        if (!next) throw new Error('nothing will ever happen');
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.wake();
      }
    },
  };
}
