import { type FileHandle, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Where an installation keeps what it knows of its own run. */
export const RUN_FOLDER = 'run';
/** The process id of the agent, and on a second line what tells it from a later process of the same id. */
export const PID_FILE = 'kore-connector.pid';

/** Where the process id is kept in an installation. */
export const toPidPath = (folder: string): string => join(folder, RUN_FOLDER, PID_FILE);

/** An agent runs in this installation already. */
export class AlreadyRunningError extends Error {
  override readonly name = 'AlreadyRunningError';

  constructor(pid: number) {
    super(`the agent of this folder runs already, as process ${pid}`);
  }
}

/**
 * Writes the id of this process, and on a second line what tells it from a later process of the same id. Two agents of one folder would write the same logs.
 * @returns what removes it again
 * @throws AlreadyRunningError
 */
export async function claimPidFile(path: string): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  const content = `${process.pid}\n${(await readStartTime(process.pid)) ?? ''}\n`;
  for (let attempt = 0; attempt < 2; attempt++) {
    const file = await open(path, 'wx', 0o644).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return undefined;
    });
    if (file !== undefined) {
      await writeAndClose(file, content);
      return async () => {
        if ((await readFile(path, 'utf8').catch(() => '')) === content) await unlink(path).catch(() => undefined);
      };
    }
    const pid = await findRunning(path);
    if (pid !== undefined) throw new AlreadyRunningError(pid);
    await unlink(path).catch(() => undefined);
  }
  throw new Error(`${path}: cannot be written`);
}

async function writeAndClose(file: FileHandle, content: string): Promise<void> {
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

/** The process that a pid file names, if it still is that process. */
export async function findRunning(path: string): Promise<number | undefined> {
  const [first = '', startTime = ''] = (await readFile(path, 'utf8').catch(() => '')).split('\n');
  const pid = Number(first);
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  const current = await readStartTime(pid);
  return startTime === '' || current === undefined || current === startTime ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's process is alive as well.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started, in ticks since the machine did, and which run of the machine that was. Only on Linux. */
async function readStartTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    // The name of the process may hold spaces and brackets: fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'ended' : `${fields[19]} ${boot.trim()}`;
  } catch {
    return undefined;
  }
}
