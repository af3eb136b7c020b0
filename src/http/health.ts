import { Router } from 'express';

import { AppError } from '../core/errors.ts';
import { isSameText, type Secret } from '../core/secret.ts';
import { readBearer } from './credentials.ts';
import type { Metrics } from './metrics.ts';
import { sendJson } from './respond.ts';

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
  const router = Router();
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
    res.end(await metrics.registry.metrics());
  });
  return router;
}

async function runCheck(check: ReadinessCheck): Promise<string> {
  try {
    return (await check()) ?? 'ok';
  } catch {
    return 'the check failed';
  }
}
