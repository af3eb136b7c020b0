import type { Logger } from '../../http/access-log.ts';
import type { ServiceIdentity } from './identity.ts';

/** Days before the end of a certificate on which the log warns of it. */
export const WARN_DAYS = [30, 14, 7, 1] as const;

const DAY_SECONDS = 86_400;

/** Warns once for each of {@link WARN_DAYS}, and says once that a certificate has expired. */
export function createExpiryWatch(logger: Logger): (identity: ServiceIdentity, nowSeconds: number) => void {
  const said = new Map<string, string>();
  return ({ name, notAfter, certificate }, nowSeconds) => {
    const daysLeft = (notAfter - nowSeconds) / DAY_SECONDS;
    const step = daysLeft < 0 ? 0 : WARN_DAYS.findLast((days) => daysLeft <= days);
    const now = `${certificate.fingerprint256} ${step}`;
    if (step === undefined || said.get(name) === now) return;
    said.set(name, now);
    if (step === 0) logger.error({ identity: name }, 'client certificate has expired');
    else logger.warn({ identity: name, daysLeft: Math.floor(daysLeft) }, 'client certificate expires soon');
  };
}
