import { type Clock, toIsoDate } from '../../core/clock.ts';
import type { RequestRecord } from '../request-record.ts';
import { includesLevel, type LogLevel } from './levels.ts';
import { redactFields, redactText, toLoggedTarget } from './redact.ts';

/** What an audit line tells of besides requests. */
export type AuditKind = 'start' | 'stop' | 'config' | 'connection' | 'certificate' | 'webhook' | 'worker';

/** An entry as it goes into the log, without what the chain adds. */
export type AuditEntry = Readonly<Record<string, unknown>>;

/** Every request is written at every level; the level says only how much is told of it. */
export function toRequestEntry(request: RequestRecord, level: LogLevel, worker: number, clock: Clock): AuditEntry {
  const isDetailed = includesLevel(level, 'info');
  return {
    at: toIsoDate(clock.nowSeconds()),
    kind: 'request',
    worker,
    method: redactText(request.method, 32),
    url: `${redactText(request.host, 255)}:${request.port}${toLoggedTarget(request.target)}`,
    verdict: request.verdict,
    status: request.status,
    requestBytes: request.requestBytes,
    responseBytes: request.responseBytes,
    durationMs: Math.round(request.durationMs * 10) / 10,
    // What is undefined is not written.
    mapping: isDetailed ? request.mapping : undefined,
    node: isDetailed ? request.node : undefined,
    requestId: isDetailed && request.requestId !== undefined ? redactText(request.requestId, 128) : undefined,
    detail: isDetailed && request.detail !== undefined ? redactText(request.detail, 512) : undefined,
  };
}

/** Anything else that the audit log tells: starts, stops, changes of the configuration, connections. */
export function toEventEntry(
  kind: AuditKind,
  fields: AuditEntry,
  worker: number | undefined,
  clock: Clock,
): AuditEntry {
  return { at: toIsoDate(clock.nowSeconds()), kind, worker, ...redactFields(fields) };
}
