/**
 * Packs the agent. The build has made its folder before.
 *
 *   npm run package:connector                       dist/packages/kore-connector-<version>.tar.gz and .zip
 *   npm run package:connector -- --name acme        acme-<version>.…, unpacked as acme/
 *   npm run package:connector -- --executable       also one executable for the system that it runs on
 *   npm run package:connector -- --out <folder>     elsewhere
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { createPackageBuilder, PACKAGE_SYSTEMS } from '../src/gateway/packages/build-package.ts';

const execute = promisify(execFile);
const TEMPLATE_FOLDER = fileURLToPath(new URL('../src/connector-package/', import.meta.url));
const POSTJECT = createRequire(import.meta.url).resolve('postject/dist/cli.js');
/** Where Node.js looks for what was put into its own executable (its documentation, "Single executable applications"). */
const SEA_RESOURCE = 'NODE_SEA_BLOB';
const SEA_FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Puts the agent into a copy of the Node.js that runs this. */
async function buildExecutable(file: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kore-connector-'));
  try {
    const [settings, blob] = [join(folder, 'sea.json'), join(folder, 'agent.blob')];
    const main = join(TEMPLATE_FOLDER, 'lib', 'agent.js');
    await writeFile(settings, JSON.stringify({ main, output: blob, disableExperimentalSEAWarning: true }));
    await execute(process.execPath, ['--experimental-sea-config', settings]);
    await copyFile(process.execPath, file);
    await chmod(file, 0o755);
    const isMac = process.platform === 'darwin';
    const words = [
      SEA_RESOURCE,
      blob,
      '--sentinel-fuse',
      SEA_FUSE,
      ...(isMac ? ['--macho-segment-name', 'NODE_SEA'] : []),
    ];
    await execute(process.execPath, [POSTJECT, file, ...words]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'kore-connector' },
    out: { type: 'string', default: join('dist', 'packages') },
    executable: { type: 'boolean', default: false },
  },
});
await mkdir(values.out, { recursive: true });
const build = createPackageBuilder(TEMPLATE_FOLDER);
for (const os of PACKAGE_SYSTEMS) {
  const { fileName, bytes } = await build({ os, name: values.name });
  await writeFile(join(values.out, fileName), bytes);
  process.stdout.write(`${join(values.out, fileName)}  ${bytes.length} bytes\n`);
}
if (values.executable) {
  const { version } = JSON.parse(await readFile(join(TEMPLATE_FOLDER, 'lib', 'package.json'), 'utf8')) as {
    version: string;
  };
  const ending = process.platform === 'win32' ? '.exe' : '';
  const file = join(values.out, `${values.name}-${version}-${process.platform}-${process.arch}${ending}`);
  await buildExecutable(file);
  process.stdout.write(`${file}\n`);
}
