import type { App } from '../apps/schemas.ts';
import { AppError } from '../core/errors.ts';
import { countTogether } from '../http/rate-limit.ts';
import type { SharedCounters } from '../http/shared-counters.ts';
import { createWindowCounter } from '../http/window-counter.ts';
import type { AuthenticateToken } from './authenticate-token.ts';

const WINDOW_MS = 60_000;

export interface LimitAppsDeps {
  /** What counts together with other processes. Absent: each process counts for itself. */
  readonly counters?: SharedCounters | undefined;
  readonly monotonicMs?: () => number;
}

/**
 * Holds each app to its `exchangesPerMinute`. Only what the app really signed counts: nobody else can use its limit up.
 * @throws AppError `client_busy`
 */
export function limitApps(
  authenticateToken: AuthenticateToken,
  { counters, ...deps }: LimitAppsDeps,
): AuthenticateToken {
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

  return async function authenticateWithinLimit(token) {
    const authentic = await authenticateToken(token);
    if (authentic.app.exchangesPerMinute > 0) await take(authentic.app);
    return authentic;
  };
}
