import { type FSWatcher, watch } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import type { AgentConfig } from './agent-config.ts';
import { type FileSnapshot, takeSnapshot, toDigest } from './config-files.ts';
import { keepFormer } from './keep-former.ts';
import type { AgentReading } from './load-agent-config.ts';

/** How long the files must rest after a change before they are read, in milliseconds: editors write in several steps. */
export const REST_MS = 250;
/** How long a fault must last before it is told, in milliseconds: a file may be half written. */
export const FAULT_REST_MS = 1_000;
/** How often the files are compared with what was read, in milliseconds: not every file system tells of changes. */
export const COMPARE_EVERY_MS = 5_000;

/** One edited file whose content has changed. */
export interface ChangedFile {
  /** As people know it. */
  readonly file: string;
  /** Where its former content is kept, as people know it. */
  readonly formerKeptAs?: string;
  /** Why its former content could not be kept. The change is in force all the same. */
  readonly formerFault?: string;
}

export interface WatchOptions {
  /** What is in force now. */
  readonly initial: AgentReading;
  /** Reads everything anew. */
  readonly read: () => AgentReading;
  /** A valid change. Keys and certificates that were replaced have no entry among the files. */
  readonly onChange: (
    config: AgentConfig,
    files: readonly ChangedFile[],
    former: AgentConfig,
    reading: AgentReading,
  ) => void;
  /** A change that is not taken, once for each change; the former configuration stays in force. */
  readonly onFault: (faults: readonly string[]) => void;
  readonly clock: Clock;
  /** Milliseconds instead of the constants above. */
  readonly restMs?: number;
  readonly faultRestMs?: number;
  readonly compareEveryMs?: number;
}

export interface ConfigWatch {
  /** Looks at once, for a signal or a command. */
  check(): void;
  close(): void;
}

/**
 * Follows the files of a configuration, those that it names too. The content that is in force stays in memory, so that
 * it can be kept although an editor has replaced it.
 */
export function watchAgentConfig(options: WatchOptions): ConfigWatch {
  const { read, onChange, onFault, clock } = options;
  const { restMs = REST_MS, faultRestMs = FAULT_REST_MS, compareEveryMs = COMPARE_EVERY_MS } = options;
  if (options.initial.config === undefined) throw new TypeError('only a configuration in force can be watched');
  let inForce: AgentReading & { readonly config: AgentConfig } = { ...options.initial, config: options.initial.config };
  let last: AgentReading = inForce;
  let lastDigest = toDigest(last.files);
  /** The digest of faults that have not lasted long enough to be told. */
  let doubtful: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const lookIn = (ms: number): void => {
    clearTimeout(timer);
    if (!isClosed) timer = setTimeout(look, ms).unref();
  };

  const look = (): void => {
    if (doubtful === undefined && toDigest(snapshotAgain(last.files)) === lastDigest) return;
    last = read();
    lastDigest = toDigest(last.files);
    if (last.config !== undefined) {
      doubtful = undefined;
      take({ ...last, config: last.config });
    } else if (doubtful === lastDigest) {
      doubtful = undefined;
      onFault(last.faults);
    } else {
      doubtful = lastDigest;
      lookIn(faultRestMs);
    }
  };

  const take = (next: AgentReading & { readonly config: AgentConfig }): void => {
    const former = inForce;
    inForce = next;
    if (toDigest(former.files) === lastDigest) return;
    onChange(next.config, keepChanged(former, next, clock.nowSeconds()), former.config, next);
  };

  const folders = createFolderWatch(() => lookIn(restMs));
  folders.follow(last.files);
  const comparing = setInterval(() => {
    folders.follow(last.files);
    if (doubtful === undefined && toDigest(snapshotAgain(last.files)) !== lastDigest) lookIn(restMs);
  }, compareEveryMs).unref();

  return {
    check: () => lookIn(0),
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      clearInterval(comparing);
      folders.close();
    },
  };
}

const snapshotAgain = (files: AgentReading['files']): Map<string, FileSnapshot> =>
  new Map([...files].map(([path, { maxBytes }]) => [path, takeSnapshot(path, maxBytes)]));

/**
 * Keeps the former content of what was edited beside it, and says which files those are.
 * SECURITY: only the two files that people edit are copied; keys never are.
 */
export function keepChanged(former: Pick<AgentReading, 'files'>, next: AgentReading, atSeconds: number): ChangedFile[] {
  const changed: ChangedFile[] = [];
  for (const [path, file] of next.edited) {
    const before = former.files.get(path);
    const after = next.files.get(path)?.content;
    if (before?.content === undefined || after === undefined || before.content.equals(after)) continue;
    try {
      const kept = keepFormer(path, before.content, before.mode, atSeconds);
      changed.push({ file, formerKeptAs: `${file}${kept.slice(path.length)}` });
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      changed.push({ file, formerFault: `the former ${file} could not be kept (${code})` });
    }
  }
  return changed;
}

/**
 * Tells when something happens to some files. The folders are followed, since editors put a new file in place of the old
 * one; a folder that is away is followed once it is back.
 */
function createFolderWatch(onEvent: () => void): { follow(files: AgentReading['files']): void; close(): void } {
  const watchers = new Map<string, FSWatcher>();
  let paths: ReadonlySet<string> = new Set();
  const drop = (folder: string): void => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const start = (folder: string): void => {
    try {
      // What happens to other files, perhaps all the time, must not put off the reading.
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || paths.has(join(folder, name))) onEvent();
      });
      watcher.on('error', () => drop(folder));
      watchers.set(folder, watcher);
    } catch {
      // The comparison goes on without it.
    }
  };
  return {
    follow: (files) => {
      paths = new Set(files.keys());
      const wanted = new Set([...paths].map((path) => dirname(path)));
      for (const folder of watchers.keys()) if (!wanted.has(folder)) drop(folder);
      for (const folder of wanted) if (!watchers.has(folder)) start(folder);
    },
    close: () => {
      for (const folder of watchers.keys()) drop(folder);
    },
  };
}
