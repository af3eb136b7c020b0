import { resolve } from 'node:path';

import { describeChild, startChild } from '../test/support/child.ts';
import type { LoadResult } from './load.ts';
import { readTreeCpuSeconds, type TunnelWay } from './tunnel-way.ts';

/** How long each case with wrk lasts, in seconds. `warmUp` comes before those with many connections, and is not counted. */
export const CASE_SECONDS = { single: 1, warmUp: 1, many: 2 } as const;
/** What is carried each way by the cases of one large body, in bytes. */
export const LARGE_BYTES = 104_857_600;

/** One round of one way. Rates in requests a second, times in microseconds, `…Rate` of bodies in MB a second. */
export interface TunnelFigures {
  readonly p50: number;
  readonly small: number;
  readonly medium: number;
  readonly downRate: number;
  readonly upRate: number;
  readonly cloudCpu: number;
  readonly insideCpu: number;
}

interface WrkResult extends LoadResult {
  readonly medianMicroseconds: number;
}

async function runWrk(way: TunnelWay, path: string, connections: number, seconds: number): Promise<WrkResult> {
  const fields = way.fields.flatMap((field) => ['--header', field]);
  const amounts = ['--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`];
  const args = [...amounts, ...fields, '--script', resolve('bench/tunnel.lua'), `${way.url}${path}`];
  const child = await startChild({ command: 'wrk', args, cwd: process.cwd() });
  const { code } = await child.exited;
  const line = child
    .stdout()
    .split('\n')
    .find((text) => text.startsWith('{'));
  if (code !== 0 || line === undefined) throw new Error(`wrk failed\n${describeChild(child)}`);
  const result = JSON.parse(line) as WrkResult;
  if (result.refusedCount + result.failedCount > 0 || result.requestCount === 0) {
    throw new Error(`${way.name}: not every answer is 2xx\n${child.stdout()}`);
  }
  return result;
}

/** @returns MB a second, as curl says it */
async function runCurl(way: TunnelWay, given: readonly string[], variable: string): Promise<number> {
  const fields = way.fields.flatMap((field) => ['--header', field]);
  const args = ['--silent', '--show-error', '--fail', '--output', '/dev/null', '--write-out', `%{${variable}}`];
  const child = await startChild({ command: 'curl', args: [...args, ...fields, ...given], cwd: process.cwd() });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${way.name}: curl failed\n${describeChild(child)}`);
  return Number(child.stdout()) / 1e6;
}

/** Measures all cases of one way, one after the other. @param largeFile what is sent up */
export async function measureWay(way: TunnelWay, largeFile: string): Promise<TunnelFigures> {
  const single = await runWrk(way, '/small', 1, CASE_SECONDS.single);
  // What was compiled for the large bodies of the round before, or for one connection, is compiled anew meanwhile.
  await runWrk(way, '/small', 32, CASE_SECONDS.warmUp);
  const before = { cloud: await readTreeCpuSeconds(way.cloudPids), inside: await readTreeCpuSeconds(way.insidePids) };
  const small = await runWrk(way, '/small', 32, CASE_SECONDS.many);
  const after = { cloud: await readTreeCpuSeconds(way.cloudPids), inside: await readTreeCpuSeconds(way.insidePids) };
  const medium = await runWrk(way, '/medium', 32, CASE_SECONDS.many);
  const downRate = await runCurl(way, [`${way.url}/large`], 'speed_download');
  const upRate = await runCurl(way, ['--upload-file', largeFile, `${way.url}/sink`], 'speed_upload');
  const toRate = ({ requestCount, durationSeconds }: LoadResult): number => requestCount / durationSeconds;
  const toCpu = (seconds: number): number => (seconds / small.requestCount) * 1e6;
  return {
    p50: single.medianMicroseconds,
    small: toRate(small),
    medium: toRate(medium),
    downRate,
    upRate,
    cloudCpu: toCpu(after.cloud - before.cloud),
    insideCpu: toCpu(after.inside - before.inside),
  };
}
