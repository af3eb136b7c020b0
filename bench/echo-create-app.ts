/** The same as echo-http, with all that surrounds every route of the product. Listens on the port of its first argument. */
import express from 'express';

import { createLogger } from '../src/http/access-log.ts';
import { readBody } from '../src/http/body.ts';
import { allowOrigins } from '../src/http/cors.ts';
import { createApp } from '../src/http/create-app.ts';
import { createLogOutput } from '../src/http/log-output.ts';
import { createMetrics } from '../src/http/metrics.ts';
import { limitRate } from '../src/http/rate-limit.ts';
import { sendJson } from '../src/http/respond.ts';
import { startServer } from '../src/http/server.ts';

const MAX_BODY_BYTES = 65_536;

const router = express.Router({ caseSensitive: true });
router.use(allowOrigins({ origins: [], allowLoopback: false, allowCredentials: false }));
router.post('/', limitRate({ perMinute: 1e9, refusal: 'busy' }), readBody(MAX_BODY_BYTES), (req, res) => {
  sendJson(res, 200, req.body as object);
});

const logger = createLogger('info', createLogOutput('turn'));
const deps = { name: 'echo', logger, metrics: createMetrics(), metricsToken: undefined, checks: {} };
const app = createApp({ ...deps, trustProxy: false }, (server) => void server.use(router));
await startServer(app, { host: '127.0.0.1', port: Number(process.argv[2]) });
