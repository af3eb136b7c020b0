import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { startChild, waitUntilReady } from './child.ts';
import { createTempFolder, getFreePort } from './processes.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 10_000;

/** The way out of a company's network. */
export interface TinyproxyProcess {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** What it says of its connections. */
  log(): string;
  stop(): Promise<void>;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: HOST });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** Starts a proxy that wants a password, and lets CONNECT go to one port alone. Whoever starts it stops it. */
export async function startTinyproxy(connectPort: number): Promise<TinyproxyProcess> {
  const folder = await createTempFolder();
  const port = await getFreePort();
  const [user, password] = ['agent', 'password-of-the-way-out'];
  const lines = [
    `Port ${port}`,
    `Listen ${HOST}`,
    `Allow ${HOST}`,
    `BasicAuth ${user} ${password}`,
    `ConnectPort ${connectPort}`,
    'LogLevel Connect',
    'Timeout 600',
    'MaxClients 50',
  ];
  const configFile = join(folder, 'tinyproxy.conf');
  await writeFile(configFile, `${lines.join('\n')}\n`);
  const child = await startChild({ command: 'tinyproxy', args: ['-d', '-c', configFile], cwd: folder });
  await waitUntilReady(child, () => accepts(port), READY_TIMEOUT_MS);
  return {
    port,
    user,
    password,
    log: () => child.stdout() + child.stderr(),
    stop: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
