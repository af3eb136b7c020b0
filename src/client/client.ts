/**
 * `countersign/client`: from a user's JWT to a bearer that is always good, in browsers and Node.
 *
 *   const client = createClient({ idproxyUrl, issuer: { url, identity } });
 *   const answer = await client.fetchWithBearer(`${idproxyUrl}/api/1.1/userinfo`);
 *
 * The bearer is kept in memory alone. There is no timer that renews it: a call in the last part of its life has it
 * renewed meanwhile, so an idle page asks for nothing. Callers at the same time share one request.
 */
import { ClientError, hasCode, toFetchError } from './client-error.ts';
import { createFetchAssertion, type FetchAssertion, type IssuerOptions } from './issuer.ts';
import { PLATFORM, type Platform } from './platform.ts';
import { abortable, createSender, type Members, type Patience } from './sender.ts';

export { ClientError };
export type { ClientErrorCode, ClientErrorOptions } from './client-error.ts';
export type { FetchAssertion, IssuerOptions, Patience, Platform };

export interface ClientOptions extends Partial<Patience>, Partial<Platform> {
  /** `https://idproxy.example`, absolute. */
  readonly idproxyUrl: string;
  /** Where the JWT comes from. */
  readonly issuer: IssuerOptions | FetchAssertion;
  /**
   * Hears of a renewal that failed while the bearer was still good; nobody else does before it expires. What it throws is
   * nobody's.
   */
  readonly onRenewalFailure?: (error: unknown) => unknown;
}

export interface Client {
  /** A bearer that is good now. @throws ClientError */
  getBearer(signal?: AbortSignal | null): Promise<string>;
  /**
   * `fetch` with the bearer in its `Authorization`. At a 401 it renews once and repeats once, unless the body is a
   * stream. Any other answer, a second 401, and a 401 after someone signed out meanwhile, is handed to the caller.
   * @throws ClientError
   */
  fetchWithBearer(url: string | URL, init?: RequestInit): Promise<Response>;
  /**
   * Forgets the bearer and revokes it (RFC 7009), one that is being granted as well. Nothing that is under way signs in
   * again.
   * @throws ClientError when the server could not be told
   */
  signOut(signal?: AbortSignal): Promise<void>;
}

interface Bearer {
  readonly token: string;
  readonly expiresAtMs: number;
  renewAtMs: number;
}

const PATIENCE: Patience = { timeoutMs: 10_000, maxAttempts: 5, firstDelayMs: 500, maxDelayMs: 30_000 };
/** The part of a bearer's life after which it is renewed, and what chance adds to it at most. */
const RENEW_AFTER = 0.7;
const RENEW_SPREAD = 0.2;
/** Refusals of the exchange that a fresh JWT may heal. */
const STALE = /possibly a replay|"exp" is in the past|expired/;

/** A refusal, and until when it is repeated. */
interface Refusal {
  readonly error: ClientError;
  readonly pauseMs: number;
  readonly untilMs: number;
}

/** What there is until someone signs out: what began in one era changes nothing in the next. */
interface Era {
  readonly end: AbortController;
  bearer?: Bearer;
  /** The renewal that goes on, shared by all who ask for it meanwhile, and its exchange. */
  renewal?: Promise<Bearer> | undefined;
  granting?: Promise<Bearer> | undefined;
  refusal?: Refusal | undefined;
  /**
   * Until then a bearer that is refused is not replaced, since one was just replaced; 0 from the first use that was
   * accepted. Whoever refuses the replacement, too, has another reason: asking for more of them would be a storm.
   */
  keepUntilMs: number;
}

export function createClient(options: ClientOptions): Client {
  const { idproxyUrl, issuer, onRenewalFailure, ...rest } = options;
  const settings = { ...PLATFORM, ...PATIENCE, ...rest };
  const { nowMs, random, firstDelayMs, maxDelayMs } = settings;
  const sender = createSender(settings);
  const fetchAssertion = createFetchAssertion(issuer, sender, random);
  const base = new URL(idproxyUrl.replace(/\/*$/, '/'));

  const post = (path: string, form: Record<string, string>, signal?: AbortSignal, headers = {}): Promise<Members> => {
    const init = { method: 'POST', credentials: 'omit', headers, body: new URLSearchParams(form) } as const;
    return sender.send(new URL(path, base), init, signal);
  };

  const begin = (): Era => ({ end: new AbortController(), keepUntilMs: 0 });
  let era = begin();

  async function exchange(assertion: string, signal: AbortSignal): Promise<Bearer> {
    signal.throwIfAborted();
    const startedAtMs = nowMs();
    // Never given up on its way: what is granted then could not be revoked.
    const { access_token: token, expires_in: lifeSeconds } = await post('authorize', { assertion });
    const lifeMs = Number(lifeSeconds) * 1000;
    if (typeof token !== 'string' || !(lifeMs >= 0)) throw new ClientError('malformed', 'no bearer in the answer');
    return {
      token,
      expiresAtMs: startedAtMs + lifeMs,
      renewAtMs: startedAtMs + lifeMs * (RENEW_AFTER + RENEW_SPREAD * random()),
    };
  }

  async function obtain(own: Era): Promise<Bearer> {
    const { signal } = own.end;
    for (let hasFresh = false; ; hasFresh = true) {
      const assertion: unknown = await sender.retry(() => fetchAssertion(signal), signal);
      if (typeof assertion !== 'string') throw new ClientError('malformed', 'no "jwt" in the answer');
      try {
        // The same JWT again when the exchange failed on the server's side: it is still good, or was used up unheard.
        own.bearer = await sender.retry(() => (own.granting = exchange(assertion, signal)), signal);
        own.granting = own.refusal = undefined;
        return own.bearer;
      } catch (error) {
        if (hasFresh || !hasCode(error, 'refused') || error.status !== 401 || !STALE.test(error.message)) throw error;
      }
    }
  }

  function renew(own: Era): Promise<Bearer> {
    return (own.renewal ??= abortable(obtain(own), own.end.signal)
      .catch((error: unknown) => {
        if (hasCode(error, 'refused')) {
          const pauseMs = Math.min(maxDelayMs, own.refusal ? own.refusal.pauseMs * 2 : firstDelayMs);
          own.refusal = { error, pauseMs, untilMs: nowMs() + pauseMs * (0.5 + random() / 2) };
        }
        throw error;
      })
      .finally(() => {
        own.renewal = undefined;
      }));
  }

  async function renewMeanwhile(own: Era, old: Bearer): Promise<void> {
    old.renewAtMs = Infinity;
    try {
      await renew(own);
    } catch (error) {
      if (era.bearer !== old) return;
      if (!hasCode(error, 'refused')) old.renewAtMs = nowMs() + maxDelayMs;
      await onRenewalFailure?.(error);
    }
  }

  async function findBearer(signal?: AbortSignal | null): Promise<Bearer> {
    if (signal?.aborted) throw toFetchError(undefined, signal);
    const { bearer, refusal } = era;
    const now = nowMs();
    if (bearer && now < bearer.expiresAtMs) {
      // A callback that fails must not end a process of Node.
      if (now >= bearer.renewAtMs) renewMeanwhile(era, bearer).catch(() => undefined);
      return bearer;
    }
    // Whoever asks in a loop hears the same again; the servers are asked now and then.
    if (refusal && now < refusal.untilMs) throw refusal.error;
    return abortable(renew(era), signal);
  }

  /** Gives up a bearer that was refused. @returns whether another one may fare better */
  function giveUp(own: Era, refused: Bearer): boolean {
    if (era !== own) return false;
    if (own.bearer !== refused) return true;
    const now = nowMs();
    if (now < own.keepUntilMs) return false;
    delete own.bearer;
    own.keepUntilMs = now + maxDelayMs;
    return true;
  }

  return {
    getBearer: async (signal) => (await findBearer(signal)).token,

    async fetchWithBearer(url, init = {}) {
      const own = era;
      for (let isRepeat = false; ; isRepeat = true) {
        if (era !== own) throw new ClientError('aborted', 'signed out');
        const used = await findBearer(init.signal);
        const headers = new Headers(init.headers);
        headers.set('authorization', `Bearer ${used.token}`);
        const response = await settings.fetch(url, { ...init, headers }).catch((error: unknown) => {
          throw toFetchError(error, init.signal);
        });
        if (response.ok && used === own.bearer) own.keepUntilMs = 0;
        const mayRepeat = response.status === 401 && giveUp(own, used);
        if (!mayRepeat || isRepeat || !isReplayable(init.body)) return response;
        await response.body?.cancel();
      }
    },

    async signOut(signal = new AbortController().signal) {
      const { end, bearer, granting } = era;
      era = begin();
      end.abort();
      await Promise.all(
        [bearer, granting].map(async (granted) => {
          const held = await abortable(
            Promise.resolve(granted).catch(() => undefined),
            signal,
          );
          if (!held) return;
          const headers = { authorization: `Bearer ${held.token}` };
          await sender.retry(() => post('oauth/revoke', { token: held.token }, signal, headers), signal);
        }),
      );
    },
  };
}

/** Whether a body can be sent twice: a stream is gone after the first time. */
function isReplayable(body: unknown): boolean {
  return typeof body !== 'object' || body === null || !('getReader' in body || Symbol.asyncIterator in body);
}
