import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { AuditStatus } from '../logs/audit-log.ts';
import type { WebhooksStatus } from '../webhooks/webhooks.ts';
import { RUN_FOLDER } from './pid-file.ts';
import type { WorkerStatus } from './supervisor.ts';

/** What the agent is doing, for people and scripts. */
export const STATUS_FILE = 'status.json';
/** How often it is written without a change, in milliseconds. */
export const WRITE_STATUS_EVERY_MS = 10_000;
/** Changes within this time are written together, in milliseconds. */
export const STATUS_REST_MS = 100;

export const toStatusPath = (folder: string): string => join(folder, RUN_FOLDER, STATUS_FILE);

/** The content of the status file. Times are ISO 8601. */
export interface AgentStatus {
  readonly state: 'running' | 'stopping' | 'stopped' | 'failed';
  readonly pid: number;
  readonly version: string;
  readonly instance: string;
  readonly connector: string;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly workers: readonly (Omit<WorkerStatus, 'since'> & { readonly since: string })[];
  /** Note the hash elsewhere: `countersign connector audit verify --expect` asks for it. */
  readonly audit: AuditStatus;
  /** Absent where none are configured. */
  readonly webhooks?: WebhooksStatus | undefined;
}

export interface StatusFile {
  /** Something has changed. */
  touch(): void;
  /** Writes the last status. */
  close(): Promise<void>;
}

/** Keeps the status file. A disk that fails is told once and tried again. */
export function createStatusFile(
  path: string,
  status: () => AgentStatus,
  onFailure: (error: unknown) => void,
): StatusFile {
  let writing = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let hasFailed = false;

  const write = async (): Promise<void> => {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o750 });
      await writeFile(`${path}.tmp`, `${JSON.stringify(status(), null, 2)}\n`, { mode: 0o640 });
      await rename(`${path}.tmp`, path);
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) onFailure(error);
      hasFailed = true;
    }
  };
  const writeSoon = (): void => {
    timer = undefined;
    writing = writing.then(write);
  };
  const touch = (): void => {
    timer ??= setTimeout(writeSoon, STATUS_REST_MS);
  };
  const interval = setInterval(touch, WRITE_STATUS_EVERY_MS).unref();
  return {
    touch,
    close: async () => {
      clearInterval(interval);
      clearTimeout(timer);
      writeSoon();
      await writing;
    },
  };
}

/** @returns undefined where the agent of this folder has never run */
export async function readStatus(path: string): Promise<AgentStatus | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as AgentStatus);
}
