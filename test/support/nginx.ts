import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { startChild, waitUntilReady } from './child.ts';
import { createTempFolder, getFreePort } from './processes.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 10_000;

/** A web server as a company has one, in a folder of its own. */
export interface NginxProcess {
  readonly url: string;
  readonly port: number;
  /** Where what it serves lies, and what was put there. */
  readonly root: string;
  /** What it was asked, one line each: method, target, `Authorization`, `Host`. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

/** One process, no rights but those of the test. Temporary files are written below its folder alone. */
const toConfig = (folder: string, port: number): string => `
  daemon off;
  master_process off;
  pid ${folder}/pid;
  error_log stderr;
  events { worker_connections 512; }
  http {
    log_format seen '$request_method $request_uri "$http_authorization" $http_host';
    access_log ${folder}/access.log seen;
    client_body_temp_path ${folder}/bodies;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    client_max_body_size 0;
    server {
      listen ${HOST}:${port};
      root ${folder}/root;
      location / { dav_methods PUT DELETE; create_full_put_path on; }
      location = /private {
        if ($http_authorization != "Bearer the-users-own") { return 401; }
        return 200 "welcome";
      }
    }
  }
`;

/** Starts an nginx that serves the files below its root, and takes new ones by PUT. Whoever starts it stops it. */
export async function startNginx(): Promise<NginxProcess> {
  const folder = await createTempFolder();
  const root = join(folder, 'root');
  const configFile = join(folder, 'nginx.conf');
  const port = await getFreePort();
  const url = `http://${HOST}:${port}`;
  await mkdir(root);
  await writeFile(join(root, 'index.html'), '<p>the application</p>\n');
  await writeFile(configFile, toConfig(folder, port));
  const args = ['-p', folder, '-e', 'stderr', '-c', configFile];
  const child = await startChild({ command: 'nginx', args, cwd: folder, env: { PATH: '/usr/sbin:/usr/bin:/bin' } });
  const isReady = async (): Promise<boolean> => fetch(url).then(
    ({ ok }) => ok,
    () => false,
  ); // prettier-ignore
  await waitUntilReady(child, isReady, READY_TIMEOUT_MS);
  return {
    url,
    port,
    root,
    log: () => readFile(join(folder, 'access.log'), 'utf8'),
    stop: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
