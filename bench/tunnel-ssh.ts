import { execFile } from 'node:child_process';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';

import { startChild, waitUntilReady } from '../test/support/child.ts';
import { getFreePort } from '../test/support/processes.ts';
import { isListening } from './server.ts';
import type { TunnelWay } from './tunnel-way.ts';

const run = promisify(execFile);

const HOST = '127.0.0.1';
const SSHD = '/usr/sbin/sshd';
const READY_TIMEOUT_MS = 10_000;
/** Where sshd of root wants a folder to be; systemd makes it for the service of the system. */
const PRIVILEGE_FOLDER = '/run/sshd';

/** A `sshd` of its own on loopback, with keys of its own, and a client that has it listen (`ssh -R`). */
export async function startSshWay(folder: string, originPort: number): Promise<TunnelWay> {
  const isRoot = process.getuid?.() === 0;
  // Undefined where it is there.
  const made = isRoot ? await mkdir(PRIVILEGE_FOLDER, { recursive: true }) : undefined;
  const [hostKey, userKey, config] = ['ssh-host', 'ssh-user', 'sshd-config'].map((name) => join(folder, name)) as [string, string, string]; // prettier-ignore
  for (const file of [hostKey, userKey]) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  const [port, remotePort] = [await getFreePort(), await getFreePort()];
  await writeFile(
    config,
    `Port ${port}
ListenAddress ${HOST}
HostKey ${hostKey}
AuthorizedKeysFile ${userKey}.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
`,
  );
  const server = await startChild({ command: SSHD, args: ['-D', '-e', '-f', config], cwd: folder });
  await waitUntilReady(server, () => isListening(port), READY_TIMEOUT_MS);
  const options = ['IdentitiesOnly=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'ExitOnForwardFailure=yes']; // prettier-ignore
  const args = ['-F', 'none', '-N', '-q', '-p', String(port), '-i', userKey, ...options.flatMap((one) => ['-o', one])];
  const forward = `${HOST}:${remotePort}:${HOST}:${originPort}`;
  const client = await startChild({
    command: 'ssh',
    args: [...args, '-R', forward, `${userInfo().username}@${HOST}`],
    cwd: folder,
  });
  await waitUntilReady(client, () => isListening(remotePort), READY_TIMEOUT_MS);
  return {
    name: 'OpenSSH `-R`',
    url: `http://${HOST}:${remotePort}`,
    fields: [],
    cloudPids: [server.pid],
    insidePids: [client.pid],
    stop: async () => {
      await client.stop();
      await server.stop();
      if (made !== undefined) await rmdir(PRIVILEGE_FOLDER);
    },
  };
}
