/**
 * Prints, as JSON, what one `/authorize` leaves on the young heap, in bytes: requests in memory on the embedded store, between two moments
 * without a garbage collection. Started with a heap that holds them all, see `allocations.test.ts`.
 */
import { PerformanceObserver } from 'node:perf_hooks';

import { startIdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { sendInMemory } from '../support/in-memory-request.ts';

/** Requests until nothing is compiled any more, and those that are measured. */
const WARM_UP = 2_000;
const MEASURED = 500;

const idproxy = await startIdproxyUnderTest();
const app = await idproxy.register({ algorithm: 'HS256' });
const bodies = Array.from({ length: WARM_UP + MEASURED }, () => JSON.stringify({ assertion: app.sign() }));
const headers = { 'content-type': 'application/json' };
const exchange = async (body: string | undefined): Promise<void> => {
  const { status, text } = await sendInMemory(idproxy.app, {
    method: 'POST',
    path: '/authorize',
    headers,
    body: body ?? '',
  });
  if (status !== 200) throw new Error(text);
};
for (let at = 0; at < WARM_UP; at++) await exchange(bodies[at]);

let collections = 0;
new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ entryTypes: ['gc'] });
globalThis.gc?.();
await new Promise((done) => setTimeout(done, 50));
collections = 0;
const before = process.memoryUsage().heapUsed;
for (let at = WARM_UP; at < WARM_UP + MEASURED; at++) await exchange(bodies[at]);
const bytes = (process.memoryUsage().heapUsed - before) / MEASURED;
await new Promise((done) => setTimeout(done, 50));
console.log(JSON.stringify({ bytes: Math.round(bytes), collections }));
await idproxy.close();
