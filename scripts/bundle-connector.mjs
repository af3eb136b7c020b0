/**
 * Makes the folder that the packages of the connector are made of: the agent in one file of JavaScript, its scripts and
 * configuration, and the licences of what is bundled. Plain JavaScript, since it is a part of the build.
 *
 *   node scripts/bundle-connector.mjs <folder> [<entry>]
 */
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCES = join(ROOT, 'deploy', 'connector');
const LICENCE_FILE = /^(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i;
/** Files of `SOURCES` that go elsewhere than their own path. */
const PLACES = { 'check-node.cjs': 'lib/check-node.js', 'kore-connector.cjs': 'lib/kore-connector.js' };
/** What the system reads has its line ends. */
const CRLF = /\.(?:cmd|ps1)$/;

/** The folder of the package that a bundled file belongs to; undefined for one of ours. */
function toPackageFolder(path) {
  return /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[0];
}

/** The licences of all packages that are bundled. @throws where a package has none */
async function toNotices(inputs) {
  const folders = [...new Set(inputs.map(toPackageFolder).filter((folder) => folder !== undefined))];
  const notices = await Promise.all(
    folders.map(async (folder) => {
      const { name, version, license } = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8'));
      const files = (await readdir(join(ROOT, folder))).filter((file) => LICENCE_FILE.test(file));
      if (files.length === 0) throw new Error(`${name} is bundled, and its licence is not in its package`);
      const texts = await Promise.all(files.map((file) => readFile(join(ROOT, folder, file), 'utf8')));
      return `${name} ${version} (${license})\n\n${texts.map((text) => text.trim()).join('\n\n')}\n`;
    }),
  );
  return notices.sort((a, b) => (a < b ? -1 : 1)).join(`\n${'-'.repeat(80)}\n\n`);
}

/** Writes the folder anew. */
export async function bundleConnector(folder, entry = join(ROOT, 'src', 'connector-main.ts')) {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'lib'), { recursive: true });
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(folder, 'lib', 'agent.js'),
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    charset: 'utf8',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // One file has no address of its own: whoever asks for it would get nothing.
    logOverride: { 'empty-import-meta': 'error' },
    define: { KORE_CONNECTOR_VERSION: JSON.stringify(version) },
  });
  const files = (await readdir(SOURCES, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  for (const file of files) {
    const from = join(file.parentPath ?? file.path, file.name);
    const name = from.slice(SOURCES.length + 1);
    const to = join(folder, PLACES[name] ?? name);
    await mkdir(dirname(to), { recursive: true });
    if (CRLF.test(name)) await writeFile(to, (await readFile(from, 'utf8')).replace(/\r?\n/g, '\r\n'));
    else await cp(from, to);
  }
  await cp(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  await writeFile(join(folder, 'NOTICES.txt'), await toNotices(Object.keys(metafile.inputs)));
  await writeFile(join(folder, 'VERSION'), `${version}\n`);
  // `type` says what the files of this folder are, whatever lies in the folders above it.
  const manifest = { name: 'kore-connector', version, private: true, type: 'commonjs' };
  await writeFile(join(folder, 'lib', 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, entry] = process.argv.slice(2);
  if (folder === undefined) throw new TypeError('usage: bundle-connector.mjs <folder> [<entry>]');
  await bundleConnector(folder, entry);
}
