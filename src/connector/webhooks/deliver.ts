import type { Clock } from '../../core/clock.ts';
import { toWebhookPath, WEBHOOK_ID_FIELD } from '../../tunnel/services.ts';
import type { AppLog } from '../logs/app-log.ts';
import type { AuditEntry } from '../logs/audit-entry.ts';
import type { AskGateway } from '../service-call.ts';
import type { Entry, Spool } from './spool.ts';
import { SpoolFileError } from './spool-file.ts';
import { toTargetName } from './target-name.ts';
import { toVerdict, type Verdict } from './verdicts.ts';

/** Messages on their way at one time; of one target, one. */
export const MAX_DELIVERIES = 8;
/** The wait after the first failure, at most, in milliseconds. It doubles with each further one. */
export const MIN_RETRY_MS = 1_000;
/** The longest wait between two attempts, in milliseconds. */
export const MAX_RETRY_MS = 300_000;
/** The longest wait while no gateway is connected, in milliseconds. */
export const MAX_DISCONNECTED_MS = 10_000;
/** How long a message is tried, in seconds. */
export const MAX_WEBHOOK_AGE_SECONDS = 259_200;
/** Failures of one message before those behind it may overtake it. */
export const MAX_BLOCKING_FAILURES = 5;
/** How long the end of the agent waits for messages that are on their way, in milliseconds; they are sent again otherwise. */
export const LAST_DELIVERIES_MS = 5_000;

export interface DeliverDeps {
  readonly ask: AskGateway;
  readonly clock: Clock;
  /** A random whole number from 0 up to, but not including, `below`. */
  readonly random: (below: number) => number;
  readonly log: Pick<AppLog, 'critical' | 'error' | 'warn' | 'info' | 'debug'>;
  readonly audit: (fields: AuditEntry) => void;
  /** Milliseconds instead of the constants above. */
  readonly minRetryMs?: number;
  readonly maxRetryMs?: number;
}

export interface Deliverer {
  add(entry: Entry): void;
  /** Looks for messages that are too old. */
  check(): void;
  /** Begins nothing more; resolves when what is on its way has come to an end, or after {@link LAST_DELIVERIES_MS}. */
  stop(): Promise<void>;
}

interface Item {
  readonly entry: Entry;
  failures: number;
  /** Of the process's own time, in milliseconds. */
  notBefore: number;
}

/** The messages of one target: one after the other, the oldest first. */
interface Lane {
  items: Item[];
  isBusy: boolean;
  /** In a row. */
  failures: number;
  notBefore: number;
}

/** Delivers what the spool holds, each message until it arrived, was refused for good, or is too old. */
export function createDeliverer(spool: () => Spool, deps: DeliverDeps): Deliverer {
  const { ask, clock, random, log, audit, minRetryMs = MIN_RETRY_MS, maxRetryMs = MAX_RETRY_MS } = deps;
  const lanes = new Map<string, Lane>();
  const underWay = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  /** Full jitter over the upper half: a target that is back is not asked by all messages at one moment. */
  const toWait = (failures: number, longestMs: number): number => {
    const ceiling = Math.min(longestMs, minRetryMs * 2 ** Math.min(failures - 1, 20));
    return ceiling / 2 + random(Math.ceil(ceiling / 2) + 1);
  };

  const setAside = async (lane: Lane, item: Item, why: string, status?: number): Promise<void> => {
    const { entry } = item;
    take(lane, item);
    const about = { id: entry.id, target: toTargetName(entry.target), bytes: entry.bytes };
    log.critical('a webhook could not be delivered; it is kept in spool/failed', { ...about, why });
    audit({ ...about, verdict: 'failed', status, why });
    await spool().setAside(entry);
  };

  const attempt = async ({ entry }: Item): Promise<Verdict> => {
    const body = await spool().readBody(entry);
    const fields = [...entry.fields, WEBHOOK_ID_FIELD, entry.id];
    try {
      return toVerdict(await ask({ service: 'webhook', target: toWebhookPath(entry.target), fields, body }));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: 'later', status: undefined, why, notBeforeMs: 0 };
    }
  };

  const onFailure = (lane: Lane, item: Item, verdict: Extract<Verdict, { kind: 'later' | 'disconnected' }>): void => {
    const about = { id: item.entry.id, target: toTargetName(item.entry.target), why: verdict.why };
    if (lane.failures === 0) log.warn('a webhook is not delivered yet and is tried again', about);
    else log.debug('a webhook is not delivered yet', { ...about, failures: lane.failures });
    const now = performance.now();
    lane.failures++;
    if (verdict.kind === 'disconnected') {
      lane.notBefore = now + toWait(lane.failures, Math.min(maxRetryMs, MAX_DISCONNECTED_MS));
      return;
    }
    item.failures++;
    const asked = Math.min(verdict.notBeforeMs, maxRetryMs);
    lane.notBefore = now + Math.max(asked, toWait(lane.failures, maxRetryMs));
    // Behind the lane's: others come before it once it may be overtaken.
    item.notBefore = lane.notBefore + toWait(item.failures, maxRetryMs);
  };

  const send = async (lane: Lane, item: Item): Promise<void> => {
    const { entry } = item;
    try {
      const verdict = await attempt(item);
      if (verdict.kind === 'later' || verdict.kind === 'disconnected') return onFailure(lane, item, verdict);
      if (lane.failures > 0)
        log.info('webhooks of a target are delivered again', { target: toTargetName(entry.target) });
      lane.failures = 0;
      lane.notBefore = 0;
      if (verdict.kind === 'refused') return await setAside(lane, item, verdict.why, verdict.status);
      take(lane, item);
      audit({
        verdict: 'delivered',
        id: entry.id,
        target: toTargetName(entry.target),
        bytes: entry.bytes,
        status: verdict.status,
        failures: item.failures,
      });
      await spool().remove(entry);
    } catch (error) {
      if (error instanceof SpoolFileError) return setAside(lane, item, error.message);
      // The disk: not this message's fault.
      log.error('the spool of the webhooks cannot be read or written', { id: entry.id, error });
      lane.failures++;
      lane.notBefore = performance.now() + toWait(lane.failures, maxRetryMs);
    }
  };

  const isTooOld = ({ entry }: Item): boolean => clock.nowSeconds() - entry.acceptedAt > MAX_WEBHOOK_AGE_SECONDS;
  const isPassed = ({ failures, notBefore }: Item, now: number): boolean =>
    failures >= MAX_BLOCKING_FAILURES && notBefore > now;

  const run = (lane: Lane, work: Promise<void>): void => {
    lane.isBusy = true;
    const done = work
      .catch((error: unknown) => log.error('the spool of the webhooks cannot be written', { error }))
      .finally(() => {
        lane.isBusy = false;
        underWay.delete(done);
        pump();
      });
    underWay.add(done);
  };

  const pump = (): void => {
    clearTimeout(timer);
    if (isStopped) return;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [target, lane] of lanes) {
      if (lane.isBusy) continue;
      if (lane.items.length === 0) {
        lanes.delete(target);
        continue;
      }
      const item = lane.items.find((one) => !isPassed(one, now));
      const dueAt = Math.max(lane.notBefore, item === undefined ? toEarliest(lane.items) : 0);
      if (item === undefined || dueAt > now) next = Math.min(next, dueAt);
      else if (underWay.size < MAX_DELIVERIES) {
        // The others have their turn first next time.
        lanes.delete(target);
        lanes.set(target, lane);
        run(lane, send(lane, item));
      }
    }
    if (next < Number.POSITIVE_INFINITY) timer = setTimeout(pump, Math.max(1, next - now)).unref();
  };

  return {
    add: (entry) => {
      const lane = lanes.get(entry.target) ?? { items: [], isBusy: false, failures: 0, notBefore: 0 };
      lanes.set(entry.target, lane);
      lane.items.push({ entry, failures: 0, notBefore: 0 });
      pump();
    },
    check: () => {
      for (const lane of lanes.values()) {
        const old = lane.isBusy ? [] : lane.items.filter(isTooOld);
        if (old.length > 0) run(lane, setAsideAll(lane, old));
      }
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      let last: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (last = setTimeout(resolve, LAST_DELIVERIES_MS)));
      await Promise.race([Promise.all(underWay), late]);
      clearTimeout(last);
    },
  };

  async function setAsideAll(lane: Lane, old: readonly Item[]): Promise<void> {
    for (const item of old) await setAside(lane, item, 'it has become too old');
  }
}

const take = (lane: Lane, item: Item): void => {
  const at = lane.items.indexOf(item);
  if (at !== -1) lane.items.splice(at, 1);
};

const toEarliest = (items: readonly Item[]): number =>
  items.reduce((earliest, { notBefore }) => Math.min(earliest, notBefore), Number.POSITIVE_INFINITY);
