import { writeFile } from 'node:fs/promises';

import { describeChild, startChild } from '../test/support/child.ts';

/** Cores, so that the server and what loads it never share one. */
export const CORES = { server: 0, load: 1 } as const;

/** Connections that are open at once. */
export const CONNECTION_COUNT = 64;

/** What a generator is told. */
export interface LoadOrder {
  readonly url: string;
  /** Fields of the header of each request. */
  readonly fields: Readonly<Record<string, string>>;
  /** One body a line. */
  readonly bodiesFile: string;
  readonly seconds: number;
}

/** A load generator, and how it is started. */
export interface LoadGenerator {
  readonly name: string;
  toCommand(order: LoadOrder): readonly string[];
}

/** What is posted where. */
export interface Shots extends Omit<LoadOrder, 'bodiesFile'> {
  readonly bodies: readonly string[];
  /** Whether a body that is posted a second time spoils the measurement. */
  readonly isSingleUse: boolean;
}

/** What every load generator says in the end, as a line of JSON. */
export interface LoadResult {
  readonly requestCount: number;
  readonly durationSeconds: number;
  /** Answers that were not 2xx. */
  readonly refusedCount: number;
  /** Requests without an answer. */
  readonly failedCount: number;
}

/** The same, with the number of bodies that were taken. */
interface CountedResult extends LoadResult {
  readonly sentCount: number;
}

/**
 * Runs a program on the load's own core to its end, or on those that `cores` names as `taskset` takes them.
 * @returns the line of JSON that it prints
 * @throws with all that it printed when it fails
 */
export async function runOnLoadCore<Line>(command: readonly string[], cores = String(CORES.load)): Promise<Line> {
  const child = await startChild({
    command: 'taskset',
    args: ['-c', cores, ...command],
    cwd: process.cwd(),
  });
  const { code } = await child.exited;
  const line = child
    .stdout()
    .split('\n')
    .find((text) => text.startsWith('{'));
  if (code !== 0 || line === undefined) throw new Error(`${command[0] ?? ''} failed\n${describeChild(child)}`);
  return JSON.parse(line) as Line;
}

/** Writes bodies as the load generators read them: one a line. */
export async function writeBodies(file: string, bodies: readonly string[]): Promise<void> {
  await writeFile(file, `${bodies.join('\n')}\n`);
}

/** More requests than there were bodies that are accepted once: what was measured is worth nothing. */
export class RanDryError extends Error {
  override readonly name = 'RanDryError';
}

/**
 * Throws unless every answer was 2xx and no body that is accepted once was taken twice.
 * @throws RanDryError
 * @throws Error
 */
export function checkResult(
  { requestCount, refusedCount, failedCount, sentCount }: Omit<CountedResult, 'durationSeconds'>,
  { url, bodies, isSingleUse }: Pick<Shots, 'url' | 'bodies' | 'isSingleUse'>,
): void {
  if (isSingleUse && sentCount > bodies.length)
    throw new RanDryError(`${url}: ${sentCount} requests, and ${bodies.length} bodies that are accepted once`);
  if (refusedCount + failedCount > 0 || requestCount === 0)
    throw new Error(
      `${url}: not every answer is 2xx: ${refusedCount} refused, ${failedCount} missing of ${requestCount}`,
    );
}

/**
 * Loads a server from the load's own core, as fast as it answers.
 * @param bodiesFile - where the bodies may be written
 * @param cores - the load's own where they are left out
 * @throws when the generator fails, an answer was not 2xx or did not come, or the bodies did not suffice
 */
export async function fire(
  generator: LoadGenerator,
  shots: Shots,
  bodiesFile: string,
  cores?: string,
): Promise<LoadResult> {
  const { url, fields, seconds } = shots;
  await writeBodies(bodiesFile, shots.bodies);
  const result = await runOnLoadCore<CountedResult>(generator.toCommand({ url, fields, bodiesFile, seconds }), cores);
  checkResult(result, shots);
  return result;
}
