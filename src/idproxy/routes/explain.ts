import { Router } from 'express';

import { readBody } from '../../http/body.ts';
import { checkShape } from '../../http/check.ts';
import type { Routes } from '../../http/create-app.ts';
import { allowOnly } from '../../http/refusals.ts';
import { sendJson } from '../../http/respond.ts';
import type { Explain } from '../explain.ts';
import { explainRequest } from '../explain-schemas.ts';
import { MAX_CLIENT_BODY_BYTES } from './client.ts';

export interface ExplainRoutesDeps {
  readonly explain: Explain;
}

/** `/admin/explain`: what would become of a token. Behind `guardAdmin`. */
export function createExplainRoutes({ explain }: ExplainRoutesDeps): Routes {
  const router = Router({ caseSensitive: true });
  router
    .route('/admin/explain')
    .post(readBody(MAX_CLIENT_BODY_BYTES), async function explainToken(req, res) {
      const { token, ...options } = checkShape(explainRequest, req.body);
      sendJson(res, 200, await explain(token, options));
    })
    .all(allowOnly('POST'));
  return [router];
}
