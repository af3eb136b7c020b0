import { type Clock, toIsoDate } from '../core/clock.ts';
import { toAppError } from '../core/errors.ts';
import type { Logger } from '../http/access-log.ts';
import { createAuditTrail } from '../http/audit-entry.ts';
import type { Store } from '../stores/ports.ts';

const DAY_MS = 86_400_000;
/** How often an instance asks whether old entries are due to be dropped, in milliseconds. */
const LOOK_EVERY_MS = 3_600_000;
/** How soon it asks again where the store did not answer, in milliseconds. */
const RETRY_MS = 30_000;

export interface AuditRetentionDeps {
  readonly store: Pick<Store, 'audit' | 'claims'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Drops what is older than `days`, now and then once a day, by one of all instances; 0 is for ever. That it is done is in the
 * trail itself.
 * @returns a function that ends it
 */
export function keepAuditFor(days: number, deps: AuditRetentionDeps): () => void {
  if (days === 0) return () => undefined;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const look = async (): Promise<void> => {
    let waitMs = LOOK_EVERY_MS;
    try {
      await expireAudit(days, deps);
    } catch (error) {
      waitMs = RETRY_MS;
      deps.logger.debug({ detail: toAppError(error).detail }, 'old audit entries are not dropped yet');
    }
    if (!isStopped) timer = setTimeout(() => void look(), waitMs).unref();
  };
  void look();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}

/** Drops what is older than `days`, unless somebody did within a day. @returns how many entries, or undefined */
export async function expireAudit(
  days: number,
  { store, clock }: Pick<AuditRetentionDeps, 'store' | 'clock'>,
): Promise<number | undefined> {
  const { audit, claims } = store;
  if (!(await claims.claim(`audit-expiry:${days}`, DAY_MS))) return undefined;
  const trail = createAuditTrail({ append: (body) => audit.append(body), clock });
  const beforeMs = clock.nowSeconds() * 1000 - days * DAY_MS;
  const act = {
    who: 'countersign',
    from: 'itself',
    act: 'audit expire',
    target: { before: toIsoDate(beforeMs / 1000) },
  };
  const begun = await trail.record({ ...act, outcome: 'begun' });
  const count = await audit.expire(beforeMs);
  await trail.record({ ...act, outcome: 'done', begun, count });
  return count;
}
