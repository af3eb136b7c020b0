import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import type { Instruction, Stage } from './dockerfile.ts';

const execute = promisify(execFile);

/** The files that a build context holds: what git knows or would add, as far as it is there; not what it ignores. */
export async function listContextFiles(): Promise<string[]> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'];
  const { stdout } = await execute('git', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout.split('\0').filter((path) => path !== '' && existsSync(path));
}

/** Where the stages of one build lie: one folder each, standing for the root of its file system. */
export interface ImageBuild {
  readonly folder: string;
  readonly contextFiles: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** RUN lines that need the image's own users or system. */
  readonly skipRun: (command: string) => boolean;
}

/** The names below `source` and where each of them goes, by the rules of COPY. */
function planCopy(source: string, target: string, intoFolder: boolean, files: readonly string[]): [string, string][] {
  if (files.includes(source)) return [[source, intoFolder ? posix.join(target, posix.basename(source)) : target]];
  const below = files.filter((file) => file.startsWith(`${source}/`));
  if (below.length === 0) throw new Error(`COPY ${source}: nothing of that name in the build context`);
  return below.map((file) => [file, posix.join(target, posix.relative(source, file))]);
}

async function copy({ text, flags }: Instruction, root: string, workdir: string, build: ImageBuild): Promise<void> {
  const sources = text.split(/\s+/);
  const written = sources.pop() ?? '';
  const target = posix.resolve(workdir, written);
  const from = flags['from'];
  for (const source of sources) {
    if (from !== undefined) {
      await cp(join(build.folder, from, source), join(root, target), { recursive: true, verbatimSymlinks: true });
      continue;
    }
    const intoFolder = sources.length > 1 || written.endsWith('/');
    for (const [file, goesTo] of planCopy(source, target, intoFolder, build.contextFiles)) {
      await cp(file, join(root, goesTo));
    }
  }
}

/**
 * Does what one stage says, in a folder instead of a container.
 *
 * @returns the folder that stands for the stage's root, and its last WORKDIR
 */
export async function buildStage(stage: Stage, build: ImageBuild): Promise<{ root: string; workdir: string }> {
  const root = join(build.folder, stage.name);
  await mkdir(root, { recursive: true });
  let workdir = '/';
  for (const instruction of stage.instructions) {
    if (instruction.keyword === 'WORKDIR') {
      workdir = posix.resolve(workdir, instruction.text);
      await mkdir(join(root, workdir), { recursive: true });
    } else if (instruction.keyword === 'COPY') {
      await copy(instruction, root, workdir, build);
    } else if (instruction.keyword === 'RUN' && !build.skipRun(instruction.text)) {
      const options = { cwd: join(root, workdir), env: build.environment, maxBuffer: 64 * 1024 * 1024 };
      await execute('/bin/sh', ['-ec', instruction.text], options);
    }
  }
  return { root, workdir };
}
