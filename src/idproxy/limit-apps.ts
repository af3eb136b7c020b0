import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { countTogether } from '../http/rate-limit.ts';
import type { SharedCounters } from '../http/shared-counters.ts';
import { createWindowCounter } from '../http/window-counter.ts';
import type { VerifyAssertion } from './verify.ts';

const WINDOW_MS = 60_000;

export interface LimitAppsDeps {
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly counters?: SharedCounters | undefined;
  readonly monotonicMs?: () => number;
}

/**
 * Holds each app to its `exchangesPerMinute`. Only what the app really signed and what still holds counts: nobody else can use its
 * limit up, and no old assertion can, of which every log and every browser is full.
 * @throws AppError `client_busy`
 */
export function limitApps(verify: VerifyAssertion, { counters, ...deps }: LimitAppsDeps): VerifyAssertion {
  const here = createWindowCounter({ windowMs: WINDOW_MS, ...deps });

  const take = async ({ clientId, exchangesPerMinute }: App): Promise<void> => {
    const refuse = (seconds: number): never => {
      throw new AppError('client_busy', { values: { seconds }, detail: `${clientId}: ${exchangesPerMinute} a minute` });
    };
    if (here.add(clientId) > exchangesPerMinute) refuse(here.secondsLeft());
    if (counters === undefined) return;
    const { count, leftMs } = await countTogether(counters, `app ${clientId}`);
    if (count > exchangesPerMinute) refuse(Math.max(1, Math.ceil(leftMs / 1000)));
  };

  return async function verifyWithinLimit(assertion) {
    const verified = await verify(assertion);
    if (verified.app.exchangesPerMinute > 0) await take(verified.app);
    return verified;
  };
}
