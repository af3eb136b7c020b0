import type { Clock } from '../../core/clock.ts';
import type { RequestRecord } from '../request-record.ts';
import { type AppLog, createAppLog } from '../logs/app-log.ts';
import { type AuditEntry, type AuditKind, toEventEntry, toRequestEntry } from '../logs/audit-entry.ts';
import { toAuditText } from '../logs/audit-log.ts';
import type { LogLevels } from './channel.ts';

/**
 * Audit entries of one worker that are not in the file yet, before it takes no more requests. Those that it has begun
 * are still written.
 */
export const MAX_UNWRITTEN_AUDITS = 8_192;
/** Lines of the application log that the primary has not taken yet; further ones are counted and left out. */
export const MAX_UNTAKEN_LOGS = 8_192;

/** How long lines wait for others, to be sent and written with them, in milliseconds. */
export const GATHER_LINES_MS = 10;

/** Where requests and events are told for the audit log. */
export interface AuditSink {
  /** SECURITY: while it is false no request may begin: it could not be written down. */
  canRecord(): boolean;
  request(request: RequestRecord): void;
  /** A connection to a gateway that was made or is over. */
  connection(fields: AuditEntry): void;
  event(kind: AuditKind, fields: AuditEntry): void;
}

export interface LineSender {
  readonly log: AppLog;
  readonly audit: AuditSink;
  /** So many lines are dealt with. */
  onAck(logs: number, audits: number): void;
  /** Sends what waits. Resolves when all is dealt with. @returns false where that did not come within `timeoutMs` */
  flush(timeoutMs: number): Promise<boolean>;
}

export interface LineSenderDeps {
  readonly worker: number;
  readonly levels: () => LogLevels;
  readonly clock: Clock;
  readonly send: (entries: { readonly type: 'entries'; readonly logs: string; readonly audits: string }) => void;
  /** Instead of {@link GATHER_LINES_MS}. */
  readonly gather?: (send: () => void) => void;
}

const wait = (send: () => void): void => void setTimeout(send, GATHER_LINES_MS);

/** The logs of a worker: lines go to the primary, all those of a moment in one message. */
export function createLineSender({ worker, levels, clock, send, gather = wait }: LineSenderDeps): LineSender {
  let logs: string[] = [];
  let audits: string[] = [];
  let openLogs = 0;
  let openAudits = 0;
  let lost = 0;
  let isDue = false;
  let onEmpty: (() => void) | undefined;

  const sendNow = (): void => {
    isDue = false;
    if (logs.length === 0 && audits.length === 0) return;
    send({ type: 'entries', logs: logs.join('\n'), audits: audits.join('\n') });
    logs = [];
    audits = [];
  };

  const plan = (): void => {
    if (isDue) return;
    isDue = true;
    gather(sendNow);
  };

  const writeLog = (line: string): void => {
    if (openLogs >= MAX_UNTAKEN_LOGS) {
      lost++;
      return;
    }
    openLogs++;
    logs.push(line);
    plan();
  };
  const log = createAppLog({ write: writeLog, level: () => levels().app, clock, worker, highest: 'critical' });

  const writeAudit = (entry: AuditEntry): void => {
    openAudits++;
    audits.push(toAuditText(entry));
    plan();
  };

  const writeEvent = (kind: AuditKind, fields: AuditEntry): void => {
    writeAudit(toEventEntry(kind, fields, worker, clock));
  };

  return {
    log,
    audit: {
      canRecord: () => openAudits < MAX_UNWRITTEN_AUDITS,
      request: (request) => writeAudit(toRequestEntry(request, levels().audit, worker, clock)),
      connection: (fields) => writeEvent('connection', fields),
      event: writeEvent,
    },
    onAck: (takenLogs, writtenAudits) => {
      openLogs -= takenLogs;
      openAudits -= writtenAudits;
      if (lost > 0 && openLogs < MAX_UNTAKEN_LOGS) {
        const count = lost;
        lost = 0;
        log.warn('lines of this log were left out: there were too many', { lines: count });
      }
      if (openLogs === 0 && openAudits === 0) onEmpty?.();
    },
    flush: async (timeoutMs) => {
      sendNow();
      if (openLogs === 0 && openAudits === 0) return true;
      return new Promise((resolve) => {
        const finish = (isEmpty: boolean): void => {
          clearTimeout(timer);
          onEmpty = undefined;
          resolve(isEmpty);
        };
        const timer = setTimeout(() => finish(false), timeoutMs);
        onEmpty = () => finish(true);
      });
    },
  };
}
