import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { findSpecifiers, stripComments } from '../../support/source-text.ts';

const FOLDER = join('dist', 'client');
const MAX_BYTES = 3000;

describe('countersign/client as it ships', () => {
  const readModules = async (): Promise<string[]> => {
    const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.js')).sort();
    return Promise.all(names.map(async (name) => stripComments(await readFile(join(FOLDER, name), 'utf8'))));
  };

  it(`is below ${MAX_BYTES} bytes gzipped: all modules, without comments and indentation, names as they are`, async () => {
    const modules = await readModules();
    assert.ok(modules.length > 1);
    const code = modules.join('').replace(/\n\s+/g, '\n');
    assert.match(code, /export function createClient/);
    const { length } = gzipSync(code, { level: 9 });
    assert.ok(length < MAX_BYTES, `${length} bytes`);
  });

  it('imports nothing but its own modules', async () => {
    const specifiers = (await readModules()).flatMap((code) => [...findSpecifiers(code)]);
    assert.ok(specifiers.length > 0);
    for (const specifier of specifiers) assert.match(specifier, /^\.\/[a-z-]+\.js$/);
  });

  it('is found by its name, with declarations beside it', async () => {
    const path = createRequire(resolve('package.json')).resolve('countersign/client');
    assert.ok(path.endsWith(join(FOLDER, 'client.js')), path);
    const declarations = await readFile(path.replace(/\.js$/, '.d.ts'), 'utf8');
    for (const name of ['createClient', 'ClientError', 'ClientOptions', 'Client']) {
      assert.match(declarations, new RegExp(`\\b${name}\\b`));
    }
    const shipped = (await import(path)) as object;
    assert.deepEqual(Object.keys(shipped).sort(), ['ClientError', 'createClient']);
  });
});
