import type { ServerResponse } from 'node:http';

import type { RequestHandler } from 'express';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import { readAhead } from './ahead.ts';

/** Bounds of the duration histogram, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What the process counts, in Prometheus' terms. No label holds a user, a client or a token. */
export interface Metrics {
  readonly registry: Registry;
  /** Counts and times the requests of one server. */
  observeRequests(server: string): RequestHandler;
  /** Counts and times requests of one route that a server answers past {@link Metrics.observeRequests}, in milliseconds. */
  observeRoute(server: string, route: string): (res: ServerResponse, ms: number) => void;
  /** Counts assertions by outcome: `granted`, `reused`, or the code of the refusal. */
  countAssertion(outcome: string): void;
  /** Counts minted tokens by outcome: `minted`, or the code of the refusal. */
  countMint(outcome: string): void;
  /** Counts frames of web sockets, from clients (`in`) and to them (`out`). */
  countSocketFrame(direction: 'in' | 'out'): void;
  /** Counts upgrades that were refused, by reason. */
  countSocketRefusal(reason: string): void;
  /** How many web sockets are open. */
  setOpenSockets(count: number): void;
  /** Counts requests relayed to applications by outcome: the status, or the code of what failed. */
  countRelayed(outcome: string): void;
  /** How many agents are connected to this gateway node. */
  setAgentCount(count: number): void;
}

/** Metrics with a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'countersign_' });
  const requests = new Counter({
    name: 'countersign_http_requests_total',
    help: 'HTTP requests answered.',
    labelNames: ['server', 'method', 'route', 'status'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'countersign_http_request_duration_seconds',
    help: 'Time from the request line to the end of the answer.',
    labelNames: ['server', 'route'],
    buckets: BUCKETS,
    registers: [registry],
  });
  const openSockets = new Gauge({
    name: 'countersign_sockets_open',
    help: 'Web sockets that are open.',
    registers: [registry],
  });
  const frames = new Counter({
    name: 'countersign_socket_frames_total',
    help: 'Frames of web sockets, by direction.',
    labelNames: ['direction'],
    registers: [registry],
  });
  const socketRefusals = new Counter({
    name: 'countersign_socket_refusals_total',
    help: 'Upgrades to a web socket that were refused, by reason.',
    labelNames: ['reason'],
    registers: [registry],
  });
  const agents = new Gauge({
    name: 'countersign_gateway_agents',
    help: 'Agents connected to this gateway node.',
    registers: [registry],
  });
  const createOutcomes = (name: string, help: string): ((outcome: string) => void) => {
    const counter = new Counter({ name, help, labelNames: ['outcome'], registers: [registry] });
    return (outcome) => counter.inc({ outcome });
  };

  const observe = (server: string, method: string, route: string, res: ServerResponse, ms: number): void => {
    requests.inc({ server, method, route, status: res.writableEnded ? res.statusCode : 'aborted' });
    durations.observe({ server, route }, ms / 1000);
  };

  return {
    registry,
    observeRequests: (server) =>
      function observeRequestHandler(req, res, next) {
        const startedAtMs = readAhead(req)?.startedAtMs ?? performance.now();
        res.once('close', () => {
          const route = String((req.route as { path?: string | string[] } | undefined)?.path ?? 'unmatched');
          const method = KNOWN_METHODS.has(req.method) ? req.method : 'other';
          observe(server, method, route, res, performance.now() - startedAtMs);
        });
        next();
      },
    observeRoute: (server, route) => (res, ms) => observe(server, 'POST', route, res, ms),
    countAssertion: createOutcomes('countersign_assertions_total', 'Assertions presented, by outcome.'),
    countMint: createOutcomes('countersign_mints_total', 'Tokens asked for at the issuer, by outcome.'),
    countSocketFrame: (direction) => frames.inc({ direction }),
    countSocketRefusal: (reason) => socketRefusals.inc({ reason }),
    setOpenSockets: (count) => openSockets.set(count),
    countRelayed: createOutcomes('countersign_gateway_requests_total', 'Requests relayed to applications, by outcome.'),
    setAgentCount: (count) => agents.set(count),
  };
}

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE', 'OPTIONS']);
