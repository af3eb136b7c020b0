import { readdir, readFile, readlink } from 'node:fs/promises';

/** What listens, or takes datagrams, in each of these tables of the kernel. */
const TABLES: Readonly<Record<string, string>> = { tcp: '0A', tcp6: '0A', udp: '07', udp6: '07' };

async function findSockets(pid: number): Promise<ReadonlySet<string>> {
  const names = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

async function findChildren(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8')));
  return lists.flatMap((list) => list.trim().split(' ').filter(Boolean).map(Number));
}

/** The ports on which a process and its children listen, `tcp 0100007F:1F90`, as Linux says it. */
export async function findListening(pid: number): Promise<string[]> {
  const own = await findSockets(pid);
  const found: string[] = [];
  for (const [table, state] of Object.entries(TABLES)) {
    const lines = (await readFile(`/proc/${pid}/net/${table}`, 'utf8')).trim().split('\n').slice(1);
    for (const line of lines) {
      const [, local = '', , itsState, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (itsState === state && own.has(inode)) found.push(`${table} ${local}`);
    }
  }
  for (const child of await findChildren(pid)) found.push(...(await findListening(child)));
  return found;
}
