import type { AppKey } from './schemas.ts';

/** When a key is accepted. */
type KeyLife = Pick<AppKey, 'createdAt' | 'activatesAt' | 'retiresAt'>;

/** From when on a key is accepted. One that was made for use at once needs no instance's clock to agree. */
const startOf = ({ createdAt, activatesAt }: KeyLife): number => (activatesAt <= createdAt ? -Infinity : activatesAt);

const endOf = ({ retiresAt }: KeyLife): number => retiresAt ?? Infinity;

/** Whether a key is accepted at `now`, in seconds since the epoch. */
export function isLive(key: KeyLife, now: number): boolean {
  return startOf(key) <= now && now < endOf(key);
}

/** Whether a key will never be accepted again. */
export function isRetired(key: KeyLife, now: number): boolean {
  return endOf(key) <= now;
}

/**
 * When some keys leave their app without one.
 * @returns seconds since the epoch, `now` at the earliest; undefined where there always is one
 */
export function findGap(keys: readonly KeyLife[], now: number): number | undefined {
  let covered = now;
  for (;;) {
    const live = keys.filter((key) => isLive(key, covered));
    if (live.length === 0) return covered;
    const end = Math.max(...live.map(endOf));
    if (end === Infinity) return undefined;
    covered = end;
  }
}
