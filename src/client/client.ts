/**
 * `countersign/client`: from a user's JWT to a bearer that is always good, in browsers and Node.
 *
 *   const client = createClient({ idproxyUrl, issuer: { url, identity } });
 *   const answer = await client.fetchWithBearer(`${idproxyUrl}/api/1.1/userinfo`);
 *
 * The bearer is kept in memory alone. There is no timer that renews it: a call in the last part of its life has it
 * renewed meanwhile, so an idle page asks for nothing. Callers at the same time share one request.
 */
import { ClientError, toFetchError } from './client-error.ts';
import { createFetchAssertion, type FetchAssertion, type IssuerOptions } from './issuer.ts';
import { createJoined } from './joined.ts';
import { PLATFORM, type Platform } from './platform.ts';
import { createSender, type Members, type Patience } from './sender.ts';

export { ClientError };
export type { ClientErrorCode, ClientErrorOptions } from './client-error.ts';
export type { FetchAssertion, IssuerOptions, Patience, Platform };

export interface ClientOptions extends Partial<Patience>, Partial<Platform> {
  /** `https://idproxy.example`, absolute. */
  readonly idproxyUrl: string;
  /** Where the JWT comes from. */
  readonly issuer: IssuerOptions | FetchAssertion;
  /** Hears of a renewal that failed while the bearer was still good; nobody else does before it expires. */
  readonly onRenewalFailure?: (error: unknown) => void;
}

export interface Client {
  /** A bearer that is good now. @throws ClientError */
  getBearer(signal?: AbortSignal | null): Promise<string>;
  /**
   * `fetch` with the bearer in its `Authorization`. At a 401 it renews once and repeats once, unless the body is a
   * stream. Any other answer, and a second 401, is handed to the caller.
   * @throws ClientError
   */
  fetchWithBearer(url: string | URL, init?: RequestInit): Promise<Response>;
  /** Forgets the bearer and revokes it (RFC 7009). @throws ClientError when the server could not be told */
  signOut(signal?: AbortSignal): Promise<void>;
}

interface Bearer {
  readonly token: string;
  readonly expiresAtMs: number;
  renewAtMs: number;
  /** Until then a 401 is not answered with another one; 0 from the first use that was accepted. */
  keepUntilMs: number;
}

const PATIENCE: Patience = { timeoutMs: 10_000, maxAttempts: 5, firstDelayMs: 500, maxDelayMs: 30_000 };
/** The part of a bearer's life after which it is renewed, and what chance adds to it at most. */
const RENEW_AFTER = 0.7;
const RENEW_SPREAD = 0.2;
/** Refusals of the exchange that a fresh JWT may heal. */
const STALE = /possibly a replay|"exp" is in the past|expired/;

export function createClient(options: ClientOptions): Client {
  const { idproxyUrl, issuer, onRenewalFailure, ...rest } = options;
  const settings = { ...PLATFORM, ...PATIENCE, ...rest };
  const sender = createSender(settings);
  const fetchAssertion = createFetchAssertion(issuer, sender, settings.random);
  const base = new URL(idproxyUrl.replace(/\/*$/, '/'));

  const post = (path: string, form: Record<string, string>, signal: AbortSignal, headers = {}): Promise<Members> => {
    const init = { method: 'POST', credentials: 'omit', headers, body: new URLSearchParams(form) } as const;
    return sender.send(new URL(path, base), init, signal);
  };

  let bearer: Bearer | undefined;
  let isReplacing = false;

  async function exchange(assertion: string, signal: AbortSignal): Promise<Bearer> {
    const nowMs = settings.nowMs();
    const { access_token: token, expires_in: lifeSeconds } = await post('authorize', { assertion }, signal);
    const lifeMs = Number(lifeSeconds) * 1000;
    if (typeof token !== 'string' || !(lifeMs >= 0)) throw new ClientError('malformed', 'no bearer in the answer');
    return {
      token,
      expiresAtMs: nowMs + lifeMs,
      renewAtMs: nowMs + lifeMs * (RENEW_AFTER + RENEW_SPREAD * settings.random()),
      // Whoever refuses a replacement, too, has another reason: asking for more of them would be a storm.
      keepUntilMs: isReplacing ? nowMs + settings.maxDelayMs : 0,
    };
  }

  const renewal = createJoined(async function renew(signal): Promise<Bearer> {
    for (let hasFresh = false; ; hasFresh = true) {
      const assertion: unknown = await sender.retry(() => fetchAssertion(signal), signal);
      if (typeof assertion !== 'string') throw new ClientError('malformed', 'no "jwt" in the answer');
      try {
        // The same JWT again when the exchange failed on the server's side: it is still good, or was used up unheard.
        const granted = await sender.retry(() => exchange(assertion, signal), signal);
        if (signal.aborted) return granted;
        isReplacing = false;
        return (bearer = granted);
      } catch (error) {
        const isStale = error instanceof ClientError && error.status === 401 && STALE.test(error.message);
        if (hasFresh || !isStale) throw error;
      }
    }
  });

  async function renewMeanwhile(old: Bearer): Promise<void> {
    old.renewAtMs = Infinity;
    try {
      await renewal.join();
    } catch (error) {
      if (bearer !== old) return;
      const isFinal = error instanceof ClientError && error.code === 'refused';
      if (!isFinal) old.renewAtMs = settings.nowMs() + settings.maxDelayMs;
      onRenewalFailure?.(error);
    }
  }

  async function findBearer(signal?: AbortSignal | null): Promise<Bearer> {
    if (signal?.aborted) throw toFetchError(undefined, signal);
    const nowMs = settings.nowMs();
    if (!bearer || nowMs >= bearer.expiresAtMs) return renewal.join(signal);
    if (nowMs >= bearer.renewAtMs) void renewMeanwhile(bearer);
    return bearer;
  }

  /** Gives up a bearer that was refused. @returns whether another one may fare better */
  function giveUp(refused: Bearer): boolean {
    if (bearer !== refused) return true;
    if (settings.nowMs() < refused.keepUntilMs) return false;
    bearer = undefined;
    isReplacing = true;
    return true;
  }

  return {
    getBearer: async (signal) => (await findBearer(signal)).token,

    async fetchWithBearer(url, init = {}) {
      for (let isRepeat = false; ; isRepeat = true) {
        const used = await findBearer(init.signal);
        const headers = new Headers(init.headers);
        headers.set('authorization', `Bearer ${used.token}`);
        const response = await settings.fetch(url, { ...init, headers }).catch((error: unknown) => {
          throw toFetchError(error, init.signal);
        });
        if (response.status !== 401) used.keepUntilMs = 0;
        else if (giveUp(used) && !isRepeat && isReplayable(init.body)) {
          await response.body?.cancel();
          continue;
        }
        return response;
      }
    },

    async signOut(signal = new AbortController().signal) {
      renewal.cancel();
      const token = bearer?.token;
      bearer = undefined;
      if (token === undefined) return;
      const headers = { authorization: `Bearer ${token}` };
      await sender.retry(() => post('oauth/revoke', { token }, signal, headers), signal);
    },
  };
}

/** Whether a body can be sent twice: a stream is gone after the first time. */
function isReplayable(body: unknown): boolean {
  return typeof body !== 'object' || body === null || !('getReader' in body || Symbol.asyncIterator in body);
}
