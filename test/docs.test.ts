import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** What the pages name must be there. */

function listPages(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.filter((path) => path.endsWith('.md')).map((path) => join(folder, path));
}

const PAGES = ['README.md', 'SECURITY.md', 'CHANGELOG.md', 'keys/README.md', ...listPages('docs')];

const LINK = /\]\(([^)#\s]+)(?:#[^)]*)?\)/g;
const PLACE = /`((?:test|src|docs|scripts|keys|bench)\/[\w./-]+)`/g;

for (const page of PAGES) {
  test(`${page}: every link and every place it names is there`, () => {
    const text = readFileSync(page, 'utf8');
    const links = [...text.matchAll(LINK)].flatMap(([, to = '']) =>
      /^https?:/.test(to) ? [] : [normalize(join(dirname(page), to))],
    );
    const places = [...text.matchAll(PLACE)].map(([, to = '']) => to);
    for (const path of [...links, ...places]) assert.ok(existsSync(path), `${page} names ${path}`);
  });
}

test('what holds a threat is named by the test itself, not by its folder', () => {
  const rows = readFileSync('docs/security.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| threat'));
  assert.ok(rows.length > 60, String(rows.length));
  for (const row of rows) {
    const held = row.split(' | ').at(-1) ?? '';
    const tests = [...held.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path);
    assert.ok(tests.length > 0, row);
    for (const path of tests) assert.ok(path.startsWith('test/') && statSync(path).isFile(), `${path} in ${row}`);
  }
});

test('the pages are found, and a page that is not there would be missed', () => {
  assert.ok(PAGES.length > 10);
  assert.ok(!existsSync('docs/nothing.md'));
});
