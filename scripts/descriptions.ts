/**
 * Writes what is made from the schemas: openapi.yaml and docs/asyncapi.yaml. With `--check` it writes nothing, and fails
 * where one of them is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { createAsyncapiYaml } from './asyncapi.ts';
import { createOpenapiYaml, findStaleLine } from './openapi.ts';

const DESCRIPTIONS: Readonly<Record<string, () => string>> = {
  'openapi.yaml': createOpenapiYaml,
  [join('docs', 'asyncapi.yaml')]: createAsyncapiYaml,
};

for (const [path, create] of Object.entries(DESCRIPTIONS)) {
  const generated = create();
  if (!process.argv.includes('--check')) {
    await writeFile(path, generated);
    continue;
  }
  const stale = findStaleLine(await readFile(path, 'utf8').catch(() => ''), generated);
  if (stale === undefined) continue;
  console.error(`${path} is not what the code says; run "npm run openapi" and commit it.\n${stale}`);
  process.exitCode = 1;
}
