import { type Clock, toIsoDate } from '../../core/clock.ts';
import type { AppLog } from './app-log.ts';
import { type ChainHead, linkEntry, MAX_AUDIT_LINE_BYTES, toOpenText } from './audit-chain.ts';
import type { AuditEntry } from './audit-entry.ts';
import { readAuditTail } from './audit-tail.ts';
import { listLogFiles, type LogEntry } from './log-folder.ts';
import type { LogFile, LogFileOptions } from './log-file.ts';

/** Entries in one write, at most. */
export const MAX_AUDIT_BATCH = 2_048;
/** After a failure of the disk, until the same entries are tried again, in milliseconds. */
export const AUDIT_RETRY_MS = 1_000;
/** How often what was written is handed to the disk itself, in milliseconds. */
export const AUDIT_SYNC_MS = 1_000;

/** How an audit log stands. */
export interface AuditStatus extends ChainHead {
  /** Entries that are not written yet. */
  readonly waiting: number;
  readonly isWritable: boolean;
}

/** The audit log of an agent. Entries stay until they are written: whoever hands them in bounds how many wait. */
export interface AuditLog {
  /** Takes entries as {@link toAuditText} makes them. `onWritten` is called once they are in the file. */
  append(texts: readonly string[], onWritten?: () => void): void;
  /** Resolves when nothing waits. @returns false where that did not come within `timeoutMs` */
  flush(timeoutMs: number): Promise<boolean>;
  status(): AuditStatus;
  close(): Promise<void>;
}

export interface AuditLogDeps {
  readonly clock: Clock;
  readonly log: Pick<AppLog, 'critical' | 'warn' | 'info'>;
  readonly retryMs?: number;
}

/** An entry as text; one that is too long tells only what it was. */
export function toAuditText(entry: AuditEntry): string {
  const text = toOpenText(entry);
  // A character takes three bytes of UTF-8 at most.
  if (text.length * 3 < MAX_AUDIT_LINE_BYTES) return text;
  const { at, kind, worker } = entry;
  return toOpenText({ at, kind, worker, isCut: true });
}

/**
 * Opens the audit log and finds where its chain is to be continued.
 * @throws what the disk says
 */
export async function openAuditLog(
  options: LogFileOptions,
  createFile: (options: LogFileOptions) => LogFile,
  { clock, log, retryMs = AUDIT_RETRY_MS }: AuditLogDeps,
): Promise<AuditLog> {
  const { folder, prefix } = options;
  const tail = await readAuditTail(await listLogFiles(folder, prefix));
  let head = tail.head;
  let queue: { readonly text: string; readonly onWritten: (() => void) | undefined }[] = [];
  let working: Promise<void> | undefined;
  let isWritable = true;
  let isDirty = false;
  let wake: (() => void) | undefined;
  const closing = new AbortController();
  /** What has to stand before the next line. */
  let before = tail.lacksLineFeed || tail.damage?.endsLine === false ? '\n' : '';

  const toEvent = (fields: AuditEntry): string => toAuditText({ at: toIsoDate(clock.nowSeconds()), ...fields });

  const onRemoved = (files: readonly LogEntry[]): void => {
    append([toEvent({ kind: 'expired', files: files.map(({ name }) => name) })]);
    log.info('old audit files were removed', { files: files.map(({ name }) => name) });
  };
  const file = createFile({ ...options, onRemoved });

  const onFailure = (error: unknown): void => {
    if (isWritable) {
      const why = error instanceof Error ? error.message : String(error);
      log.critical('the audit log cannot be written; requests are refused while too many entries wait', { error: why });
    }
    isWritable = false;
  };

  const writeBatch = async (): Promise<void> => {
    const batch = queue.slice(0, MAX_AUDIT_BATCH);
    let next = head;
    let text = before;
    for (const entry of batch) {
      const linked = linkEntry(entry.text, next);
      text += `${linked.line}\n`;
      next = linked.head;
    }
    await file.append(text);
    head = next;
    before = '';
    isDirty = true;
    queue = queue.slice(batch.length);
    if (!isWritable) log.warn('the audit log is written again', { waiting: queue.length });
    isWritable = true;
    for (const { onWritten } of batch) onWritten?.();
  };

  const work = async (): Promise<void> => {
    while (queue.length > 0 && !closing.signal.aborted) {
      try {
        await writeBatch();
      } catch (error) {
        onFailure(error);
        await pause();
      }
    }
    working = undefined;
  };

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, retryMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const append: AuditLog['append'] = (texts, onWritten) => {
    texts.forEach((text, index) => queue.push({ text, onWritten: index === texts.length - 1 ? onWritten : undefined }));
    working ??= Promise.resolve().then(work);
  };

  const syncTimer = setInterval(() => {
    if (!isDirty) return;
    isDirty = false;
    file.sync().catch(onFailure);
  }, AUDIT_SYNC_MS).unref();

  if (tail.damage) {
    const { bytes, sha256, endsLine } = tail.damage;
    append([toEvent({ kind: 'recovered', bytes: endsLine ? bytes : bytes + 1, sha256 })]);
    log.warn('the audit log ended in a line that is not whole; the chain goes on behind it', { bytes });
  }

  return {
    append,
    flush: async (timeoutMs) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
      await Promise.race([working, late]);
      clearTimeout(timer);
      return queue.length === 0;
    },
    status: () => ({ ...head, waiting: queue.length, isWritable }),
    close: async () => {
      closing.abort();
      clearInterval(syncTimer);
      wake?.();
      await working;
      await file.sync().catch(() => undefined);
      await file.close().catch(() => undefined);
    },
  };
}
