import { Router } from 'express';

import { AppError } from '../core/errors.ts';
import { isSameText, type Secret } from '../core/secret.ts';
import { readBearer } from './credentials.ts';
import type { Metrics } from './metrics.ts';
import { allowOnly } from './refusals.ts';
import { sendJson } from './respond.ts';

/** How long one rendering of the metrics serves everyone who asks, in milliseconds: it takes as long as many exchanges. */
const METRICS_SHARED_MS = 1_000;

/** One thing that the server depends on. @returns a sentence for an operator, or undefined where all is well */
export type ReadinessCheck = () => Promise<string | undefined>;

export interface HealthDeps {
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
  readonly metrics: Metrics;
  /** Where set, `/metrics` asks for it as a bearer. */
  readonly metricsToken: Secret | undefined;
}

/** `/healthz` (the process lives), `/readyz` (so does what it depends on) and `/metrics`. */
export function createHealthRouter({ checks, metrics, metricsToken }: HealthDeps): Router {
  const router = Router({ caseSensitive: true });
  const render = shareFor(METRICS_SHARED_MS, () => metrics.registry.metrics());
  router.get('/healthz', (_req, res) => sendJson(res, 200, { status: 'ok' }));
  router.get('/readyz', async (_req, res) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await runCheck(check)] as const),
    );
    const isReady = results.every(([, result]) => result === 'ok');
    sendJson(res, isReady ? 200 : 503, { status: isReady ? 'ok' : 'unavailable', checks: Object.fromEntries(results) });
  });
  router.get('/metrics', async (req, res) => {
    const bearer = readBearer(req);
    if (metricsToken && !(bearer && isSameText(bearer, metricsToken.reveal()))) {
      throw new AppError(bearer ? 'credential_invalid' : 'credential_missing');
    }
    res.setHeader('Content-Type', metrics.registry.contentType);
    res.setHeader('Cache-Control', 'no-store');
    res.end(await render());
  });
  for (const path of ['/healthz', '/readyz', '/metrics']) router.all(path, allowOnly('GET'));
  return router;
}

/** Makes a value at most once in `ms` milliseconds, however many ask. */
function shareFor<T>(ms: number, make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  let madeAtMs = 0;
  return () => {
    if (made === undefined || performance.now() - madeAtMs > ms) {
      madeAtMs = performance.now();
      made = make();
    }
    return made;
  };
}

async function runCheck(check: ReadinessCheck): Promise<string> {
  try {
    return (await check()) ?? 'ok';
  } catch {
    return 'the check failed';
  }
}
