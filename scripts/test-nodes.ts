import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Runs tests under later versions of Node than the one that is here, whose programs come from npm's registry into a folder that is
 * gone afterwards: 190 MB each, too much for a dependency of everybody. Compile first.
 *
 *   npm run test:nodes                   what depends on OpenSSL and on http
 *   npm run test:nodes -- unit/jose      only the tests of those files
 */

const MAJORS = ['22', '24'];
/** Signatures, encryption (RSA1_5 above all) and the whole exchange over HTTP. */
const FILTERS = ['unit/jose', 'http/idproxy'];
const RUNNER = fileURLToPath(new URL('./run-tests.js', import.meta.url));

/** Runs a program to its end. @throws where it fails, with the end of what it said */
function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}\n${stdout.slice(-8_000)}${stderr.slice(-2_000)}`);
  return stdout;
}

const filters = process.argv.length > 2 ? process.argv.slice(2) : FILTERS;
const folder = mkdtempSync(join(tmpdir(), 'countersign-nodes-'));
try {
  const packages = MAJORS.map((major) => `n${major}@npm:node-${process.platform}-${process.arch}@${major}`);
  run('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', ...packages], folder);
  for (const major of MAJORS) {
    const node = join(folder, 'node_modules', `n${major}`, 'bin', 'node');
    const version = run(node, ['--version'], folder).trim();
    const totals =
      run(node, [RUNNER, ...filters], process.cwd())
        .trim()
        .split('\n')
        .at(-1) ?? '';
    console.log(`Node ${version}: ${totals} (${filters.join(', ')})`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
