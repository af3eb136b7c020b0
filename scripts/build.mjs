/**
 * Compiles. Plain JavaScript, since nothing is compiled yet when it runs.
 *
 *   node scripts/build.mjs         src/ → dist/, what ships; the client with its declarations
 *   node scripts/build.mjs test    src/, test/, bench/, scripts/ → build/
 *
 * Beside the compiled program lies `connector-package`, what the packages of the connector are made of.
 *
 * Outputs whose source is gone are removed, so that a deleted test does not run for ever. A whole compilation
 * takes about a second: nothing is kept between two of them.
 */
import { spawn } from 'node:child_process';
import { cp, readdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bundleConnector } from './bundle-connector.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGE_SOURCES = join('src', 'welcome', 'web');
const PAGE_ASSET = /\.(?:html|css|svg)$/;
const CONNECTOR = 'connector-package';
/** Below `dist`, made by others than the compiler. */
const KEPT = [CONNECTOR, 'packages'];

const TARGETS = {
  dist: {
    projects: ['tsconfig.json', join(PAGE_SOURCES, 'tsconfig.json'), join('src', 'client', 'tsconfig.json')],
    outputs: [{ from: 'src', to: 'dist' }],
    connector: join('dist', CONNECTOR),
  },
  test: {
    projects: ['tsconfig.test.json'],
    outputs: ['src', 'test', 'bench', 'scripts'].map((folder) => ({ from: folder, to: join('build', folder) })),
    connector: join('build', 'src', CONNECTOR),
  },
};

/** Runs the compiler on one project; resolves with its exit code. */
function compile(project) {
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [compiler, '-p', project], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function listFiles(folder) {
  if (!existsSync(folder)) return [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** The page's files that no compiler touches go beside its compiled script. */
async function copyPageAssets() {
  for (const file of await listFiles(join(ROOT, PAGE_SOURCES))) {
    if (PAGE_ASSET.test(file)) await cp(file, join(ROOT, 'dist', relative(join(ROOT, 'src'), file)));
  }
}

async function removeOrphans({ from, to }) {
  for (const file of await listFiles(join(ROOT, to))) {
    const path = relative(join(ROOT, to), file);
    if (KEPT.includes(path.split(sep)[0])) continue;
    const source = join(ROOT, from, path);
    const candidates = [
      source,
      source.replace(/\.(?:js(?:\.map)?|d\.ts)$/, '.ts'),
      source.replace(/\.js\.map$/, '.js'),
    ];
    if (!candidates.some(existsSync)) await rm(file);
  }
}

const target = TARGETS[process.argv[2] ?? 'dist'];
if (target === undefined) throw new TypeError(`build what? one of: ${Object.keys(TARGETS).join(', ')}`);

const projects = target.projects.filter((project) => existsSync(join(ROOT, project)));
const [codes] = await Promise.all([Promise.all(projects.map(compile)), bundleConnector(join(ROOT, target.connector))]);
if (target === TARGETS.dist) await copyPageAssets();
await Promise.all(target.outputs.map(removeOrphans));
if (codes.some((code) => code !== 0)) process.exitCode = 1;
