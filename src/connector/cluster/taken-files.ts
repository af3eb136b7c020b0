import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { MAX_CONFIG_BYTES, takeSnapshot } from '../config/config-files.ts';
import type { AgentReading } from '../config/load-agent-config.ts';
import { type ChangedFile, keepChanged } from '../config/watch-config.ts';
import { writeDurably } from '../durable-file.ts';
import { RUN_FOLDER } from './pid-file.ts';

/** In the run folder: the files that people edit, as the agent last took them. */
export const TAKEN_FOLDER = 'former';

/** What an edited file held, for the audit log. */
export interface FileHash {
  /** As people know it. */
  readonly file: string;
  /** Of its bytes, as `sha256sum` says it. */
  readonly sha256: string;
}

/** The hashes of the files that people edit. */
export function hashEdited({ files, edited }: AgentReading): FileHash[] {
  return [...edited].map(([path, file]) => {
    const content = files.get(path)?.content ?? '';
    return { file, sha256: createHash('sha256').update(content).digest('hex') };
  });
}

/**
 * The files that were changed since {@link TakenNotes}, while no agent ran; what they held is kept beside them.
 * @returns none where nothing was noted
 */
export function keepChangedMeanwhile(folder: string, reading: AgentReading, atSeconds: number): ChangedFile[] {
  const snapshots = [...reading.edited.keys()].map(
    (path) => [path, takeSnapshot(toTakenPath(folder, path), MAX_CONFIG_BYTES)] as const,
  );
  return keepChanged({ files: new Map(snapshots) }, reading, atSeconds);
}

/** Notes what the agent takes, one after the other. */
export interface TakenNotes {
  note(reading: AgentReading): void;
  /** Resolves when all is noted. */
  settle(): Promise<void>;
}

/** A disk that fails is told; the next start then compares with what was noted before. */
export function createTakenNotes(folder: string, onFailure: (error: unknown) => void): TakenNotes {
  let noting = Promise.resolve();
  return {
    note: (reading) => void (noting = noting.then(() => noteTaken(folder, reading)).catch(onFailure)),
    settle: () => noting,
  };
}

/** @throws what the disk says */
async function noteTaken(folder: string, { files, edited }: AgentReading): Promise<void> {
  // SECURITY: for the agent's user alone, whoever may look into the run folder.
  await mkdir(join(folder, RUN_FOLDER, TAKEN_FOLDER), { recursive: true, mode: 0o700 });
  for (const path of edited.keys()) {
    const { content, mode } = files.get(path) ?? {};
    if (content !== undefined) await writeDurably(toTakenPath(folder, path), [content], mode ?? 0o600);
  }
}

const toTakenPath = (folder: string, path: string): string => join(folder, RUN_FOLDER, TAKEN_FOLDER, basename(path));
