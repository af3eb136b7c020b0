import { AppError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';

/** One rule on the claims of a payload whose signature holds. */
export interface ClaimsCheck<Policy, Found> {
  /** The claim that it is about, or the name of the rule. */
  readonly name: string;
  /** How what it is about is shown: a text, a time, user data or a kind of it (of which nothing is shown), or nothing. */
  readonly shows: 'text' | 'time' | 'size' | 'presence' | 'rule';
  /** Checks without which it says nothing. */
  readonly after?: readonly string[];
  /**
   * Keeps what it reads in `found`.
   * @param now - the time, in seconds since the epoch
   * @throws AppError that names the claim
   */
  run(payload: JsonObject, policy: Policy, now: number, found: Found): void;
}

/** What one rule says of a payload. */
export interface ClaimVerdict {
  readonly check: Omit<ClaimsCheck<never, never>, 'run'>;
  readonly verdict: 'ok' | 'refused' | 'not asked';
  /** Why it is refused. */
  readonly error?: AppError;
}

/** Every rule of a table, each asked: what a verification throws is the first refusal here. */
export function judgeChecks<Policy, Found>(
  checks: readonly ClaimsCheck<Policy, Found>[],
  payload: JsonObject,
  policy: Policy,
  now: number,
  found: Found,
): ClaimVerdict[] {
  const broken = new Set<string>();
  return checks.map((check): ClaimVerdict => {
    if (check.after?.some((name) => broken.has(name)) === true) return { check, verdict: 'not asked' };
    try {
      check.run(payload, policy, now, found);
      return { check, verdict: 'ok' };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      broken.add(check.name);
      return { check, verdict: 'refused', error };
    }
  });
}
