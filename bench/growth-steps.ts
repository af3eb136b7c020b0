import { type Store, STORES } from './contestant.ts';
import { type GrowthIdproxy, startGrowthIdproxy } from './growth-idproxy.ts';
import type { GrowthOptions } from './growth-options.ts';
import type { LiveRecords } from './growth-records.ts';
import { findShortage, type StoreBytes } from './growth-room.ts';
import { type GrowthRound, measureGrowthRound } from './growth-round.ts';
import { toCount } from './report.ts';

/** Both idproxies in each round: the one that stays as it is, and the one that has so many live exchanges. */
export interface GrowthStep {
  readonly store: Store;
  readonly exchangeCount: number;
  readonly rounds: readonly { readonly control: GrowthRound; readonly loaded: GrowthRound }[];
}

/** What one store did, and why it was not measured with more. */
export interface StoreGrowth {
  readonly steps: readonly GrowthStep[];
  readonly skipped: readonly string[];
}

interface Subject {
  readonly idproxy: GrowthIdproxy;
  readonly records: LiveRecords;
  readonly seenRates: number[];
}

async function createSubject(idproxy: GrowthIdproxy, { realCount }: GrowthOptions): Promise<Subject> {
  await idproxy.exchange(realCount);
  return { idproxy, records: await idproxy.openRecords(), seenRates: [] };
}

/** Where the idproxy is stopped for it, it is cold afterwards, whether or not anything was missing. */
async function fill({ idproxy, records }: Subject, exchangeCount: number): Promise<void> {
  if (records.isFilledAlone) await idproxy.stopServer();
  await records.fill(exchangeCount);
  if (records.isFilledAlone) await idproxy.startServer();
}

async function measureOnce(
  { idproxy, seenRates }: Subject,
  seconds: number,
  options: GrowthOptions,
): Promise<GrowthRound> {
  const { server, redis, createBodies } = idproxy;
  const servers = [{ url: server.url, pid: server.child.pid }];
  const load = { servers, createBodies, seenRates, cores: options.cores.load, ...(redis && { redisPid: redis.pid }) };
  const round = await measureGrowthRound(load, seconds, options);
  seenRates.push(round.rate);
  return round;
}

/** Rounds to warm up, which are not counted, and those that are; who comes first changes with each round. */
async function measureStep(
  control: Subject,
  loaded: Subject,
  exchangeCount: number,
  options: GrowthOptions,
): Promise<GrowthStep> {
  const { store } = control.idproxy;
  const rounds: { control: GrowthRound; loaded: GrowthRound }[] = [];
  for (let round = 1 - options.warmUpCount; round <= options.roundCount; round += 1) {
    await control.records.settle(options.controlSize);
    await loaded.records.settle(exchangeCount);
    const first = round % 2 === 0 ? control : loaded;
    const one = await measureOnce(first, options.roundSeconds, options);
    const other = await measureOnce(first === control ? loaded : control, options.roundSeconds, options);
    const both = first === control ? { control: one, loaded: other } : { control: other, loaded: one };
    if (round > 0) rounds.push(both);
    const shown = Object.values(both).map(
      ({ rate, cpuMicroseconds }) => `${toCount(rate)}/s and ${toCount(cpuMicroseconds)} µs`,
    );
    const title = round <= 0 ? 'warm-up' : `round ${round}`;
    options.log(`${STORES[store]}, ${title}: control ${shown[0]}, ${toCount(exchangeCount)} live ${shown[1]}`);
  }
  return { store, exchangeCount, rounds };
}

/** Two idproxies on stores of their own: one stays small, the other grows; measured in turn at each size. */
export async function measureStoreGrowth(
  store: Store,
  bytes: StoreBytes,
  options: GrowthOptions,
): Promise<StoreGrowth> {
  const started: GrowthIdproxy[] = [];
  const start = async (): Promise<Subject> => {
    const idproxy = await startGrowthIdproxy(store, options);
    started.push(idproxy);
    return createSubject(idproxy, options);
  };
  try {
    const [control, loaded] = [await start(), await start()];
    const steps: GrowthStep[] = [];
    const skipped: string[] = [];
    for (const size of options.sizes) {
      const shortage = await findShortage(store, size, bytes, options.folder);
      if (shortage !== undefined) {
        options.log(shortage);
        skipped.push(shortage);
        continue;
      }
      const startedAt = performance.now();
      await fill(control, options.controlSize);
      await fill(loaded, size);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
      options.log(`${STORES[store]}: ${toCount(size)} live exchanges after ${seconds} s`);
      steps.push(await measureStep(control, loaded, size, options));
    }
    return { steps, skipped };
  } finally {
    await Promise.all(started.map((idproxy) => idproxy.stop()));
  }
}
