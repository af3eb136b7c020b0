import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { Clock } from '../core/clock.ts';
import { AppError, type AppErrorOptions, type ErrorCode } from '../core/errors.ts';
import { isSameText } from '../core/secret.ts';
import { DPOP_ALGORITHM_NAMES, type DpopProof, verifyDpopProof } from '../jose/dpop-proof.ts';
import { TokenError } from '../jose/token-error.ts';
import { type ClaimStore, MAX_CLOCK_SKEW_MS } from '../stores/ports.ts';

/** How old a proof may be, in seconds. */
export const DPOP_PROOF_LIFE_SECONDS = 60;
/** How far a client's clock may be off, on both sides, in seconds: clients are browsers and telephones. */
export const DPOP_CLOCK_TOLERANCE_SECONDS = 30;

/** A key that whoever sent a request has. */
export interface KeyProof {
  /** The key's thumbprint (RFC 7638). */
  readonly jkt: string;
  /**
   * Uses the proof up. Comes after all checks but those of the exchange itself, so that no request that is refused for what it says burns one.
   * @throws AppError `dpop_proof_replayed`, `store_unavailable`
   */
  use(): Promise<void>;
}

/** A bearer, and the key that it is bound to. */
export interface BoundBearer {
  readonly token: string;
  readonly jkt: string;
}

/**
 * The proof of a request: for this method and URL, made now, and, where a bearer goes with it, for that one and by its key.
 * @returns undefined where the request has no proof
 * @throws AppError `invalid_dpop_proof`
 */
export type CheckDpop = (req: IncomingMessage, bearer?: BoundBearer) => Promise<KeyProof | undefined>;

export interface DpopDeps {
  readonly claims: ClaimStore;
  readonly clock: Clock;
  /** Under what URL requests are made. */
  readonly publicUrl: () => string;
}

/** The failures that have a challenge, and its `error` (RFC 9449 §7.1). */
const CHALLENGES = {
  invalid_dpop_proof: 'invalid_dpop_proof',
  dpop_proof_replayed: 'invalid_dpop_proof',
  bearer_bound: 'invalid_token',
  bearer_not_bound: 'invalid_token',
} as const satisfies { readonly [Code in ErrorCode]?: string };

/** A failure with the challenge for a proof. */
export function toDpopError(code: keyof typeof CHALLENGES, options: AppErrorOptions = {}): AppError {
  const challenge = `DPoP realm="countersign", error="${CHALLENGES[code]}", algs="${DPOP_ALGORITHM_NAMES.join(' ')}"`;
  return new AppError(code, { ...options, challenge });
}

const invalid = (detail: string): AppError => toDpopError('invalid_dpop_proof', { values: { detail } });

export function createCheckDpop({ claims, clock, publicUrl }: DpopDeps): CheckDpop {
  return async function checkDpop(req, bearer) {
    const fields = req.headersDistinct['dpop'];
    if (fields === undefined) return undefined;
    const [text = '', ...others] = fields;
    if (others.length > 0) throw invalid('is there more than once');
    const proof = await verify(text);
    const now = clock.nowSeconds();
    const htu = checkRequest(proof, req, publicUrl());
    checkTime(proof, now);
    if (bearer !== undefined) checkBearer(proof, bearer);
    return {
      jkt: proof.jkt,
      use: async () => {
        const isFirst = await claims.claim(toProofKey(proof, htu), toProofLifeMs(proof, now));
        if (!isFirst) throw toDpopError('dpop_proof_replayed');
      },
    };
  };
}

async function verify(text: string): Promise<DpopProof> {
  try {
    return await verifyDpopProof(text);
  } catch (error) {
    throw error instanceof TokenError ? invalid(error.message) : error;
  }
}

function checkRequest({ htm, htu }: DpopProof, { method, url = '/' }: IncomingMessage, publicUrl: string): string {
  if (htm !== method) throw invalid('has an "htm" other than the method of this request');
  const { origin, pathname: base } = new URL(publicUrl);
  // A target may have a host of its own (RFC 9112 §3.2.2), which may be none.
  const path = URL.canParse(url, origin) ? new URL(url, origin).pathname : undefined;
  const expected = path === undefined ? undefined : normalizeUrl(`${origin}${base.replace(/\/$/, '')}${path}`);
  const actual = normalizeUrl(htu);
  if (actual === undefined || actual !== expected) throw invalid('has an "htu" other than the URL of this request');
  return actual;
}

/** Without query and fragment, and of the spellings of one URL always the same (RFC 3986 §6.2.2, §6.2.3). */
function normalizeUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return undefined;
  const path = url.pathname.replaceAll(/%[\da-f]{2}/gi, (code) => {
    const char = String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return /[\w.~-]/.test(char) ? char : code.toUpperCase();
  });
  return `${url.origin}${path}`;
}

function checkTime({ issuedAt }: DpopProof, now: number): void {
  const tolerance = `tolerance ${DPOP_CLOCK_TOLERANCE_SECONDS} s`;
  if (issuedAt > now + DPOP_CLOCK_TOLERANCE_SECONDS)
    throw invalid(`has an "iat" ${Math.ceil(issuedAt - now)} s in the future; ${tolerance}`);
  if (now >= issuedAt + DPOP_PROOF_LIFE_SECONDS + DPOP_CLOCK_TOLERANCE_SECONDS)
    throw invalid(`is ${Math.floor(now - issuedAt)} s old, at most ${DPOP_PROOF_LIFE_SECONDS}; ${tolerance}`);
}

function checkBearer({ jkt, ath }: DpopProof, bearer: BoundBearer): void {
  if (ath === undefined) throw invalid('has no "ath"');
  if (!isSameText(ath, createHash('sha256').update(bearer.token).digest('base64url')))
    throw invalid('has an "ath" other than that of the bearer');
  if (!isSameText(jkt, bearer.jkt)) throw invalid('is by another key than the one that the bearer is bound to');
}

/** Each part is led by its length, so that no two proofs ever meet. */
function toProofKey({ jkt, jti }: DpopProof, htu: string): string {
  const hash = createHash('sha256');
  for (const part of [jkt, jti, htu]) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return `dpop:v1:${hash.digest('base64url')}`;
}

/** From now until no clock could accept the proof any more, which for one from the future is longer than its life. */
function toProofLifeMs({ issuedAt }: DpopProof, now: number): number {
  const leftSeconds = issuedAt + DPOP_PROOF_LIFE_SECONDS + DPOP_CLOCK_TOLERANCE_SECONDS - now;
  return Math.ceil(leftSeconds * 1000) + 2 * MAX_CLOCK_SKEW_MS;
}
