/**
 * Runs the examples of README.md and docs/. Each document is one story: its blocks run in order, in one folder, as if
 * pasted into one shell, beside one real `countersign start`. A comment on the line above a block's fence says what it is:
 *
 *   <!-- run -->                    it runs: bash and sh, js (an ES module), python
 *   <!-- run: verify.py exits 1 --> the same, saved under that name, expected to exit with that code; either may be left out
 *   <!-- file: claims.json -->      it is saved under that name
 *   <!-- prints -->                 it is what the block before prints; `…` is anything in a line, a line of `…` any lines
 *   <!-- not run: why -->           it is left alone
 *   <!-- server: NAME=value … -->   anywhere on a line of its own: the server is restarted with these settings besides
 *
 * A block in bash, sh, js or python without one fails. `127.0.0.1` and `localhost` with `:3000`, `:4000`,
 * `:8081`, `:8443` or `:9000`, and `"internalport": "9000"`, are replaced by free ports;
 * COUNTERSIGN_ADMIN_TOKEN, COUNTERSIGN_DATA_DIR and COUNTERSIGN_KEYS_DIR are set.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { isAsShown, parseSteps } from '../support/markdown-examples.ts';
import { startStory, type Story } from '../support/story.ts';

function listDocuments(): string[] {
  const names = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  return ['README.md', ...names.sort().map((name) => join('docs', name))].filter((path) => existsSync(path));
}

const NEEDED = ['docs/generate-and-verify.md', 'docs/connector/operate.md'];

describe('the examples of the documentation', () => {
  const stories = listDocuments().map((path) => ({ path, read: () => parseSteps(readFileSync(path, 'utf8')) }));

  it('are found', () => {
    const paths = stories.filter(({ read }) => read().some(({ kind }) => kind === 'run')).map(({ path }) => path);
    for (const path of NEEDED) assert.ok(paths.includes(path), path);
  });

  for (const { path, read } of stories) {
    describe(path, () => {
      let story: Story;
      before(async () => {
        story = await startStory();
      });
      after(() => story.end());

      it('says of every block whether it runs', () => void read());

      for (const step of toSteps(read)) {
        it(`line ${step.line}: ${step.kind}`, async () => {
          const outcome = await story.follow(step);
          if (step.kind !== 'run') return;
          assert.ok(outcome);
          const { code, stdout, stderr } = outcome;
          assert.equal(code, step.exitCode, `${path}:${step.line}\n${stdout}\n${stderr}`);
          if (step.prints === undefined) return;
          const shown = story.toActual(step.prints);
          assert.ok(isAsShown(stdout, shown), `${path}:${step.line} prints\n${stdout}\nand shows\n${shown}\n${stderr}`);
        });
      }
    });
  }
});

/** No steps where the document cannot be read: a test of its own says so. */
function toSteps(read: () => ReturnType<typeof parseSteps>): ReturnType<typeof parseSteps> {
  try {
    return read();
  } catch {
    return [];
  }
}

describe('what is made of a document', () => {
  const REFUSED = {
    'a block that does not say whether it runs': '```bash\ntrue\n```',
    'a reason that is missing': '<!-- not run -->\n```js\n1\n```',
    'an output of nothing': '<!-- prints -->\n```text\n1\n```',
    'an open block': '<!-- run -->\n```bash\ntrue',
    'words that are not understood': '<!-- run: exits badly -->\n```bash\ntrue\n```',
  };
  for (const [name, source] of Object.entries(REFUSED))
    it(`refuses ${name}`, () => assert.throws(() => parseSteps(source)));

  it('is its steps', () => {
    const source =
      'Text\n<!-- server: A=1 B=x=y -->\n\n- <!-- no -->\n  <!-- run: a.py exits 3 -->\n  ```python\n  x = 1\n    y\n  ```\n\n<!-- prints -->\n```text\n1\n```\n<!-- file: b.json -->\n```json\n{}\n```\n```text\nas it is\n```\n';
    assert.deepEqual(parseSteps(source), [
      { kind: 'server', line: 2, env: { A: '1', B: 'x=y' } },
      { kind: 'run', line: 7, language: 'python', text: 'x = 1\n  y\n', name: 'a.py', exitCode: 3, prints: '1\n' },
      { kind: 'file', line: 17, name: 'b.json', text: '{}\n' },
    ]);
  });

  const OUTPUTS: readonly [string, string, boolean][] = [
    ['a\n', 'a', true],
    ['a\nb\n', 'a', false],
    ['{"jwt":"x.y"}\n', '{"jwt":"…"}', true],
    ['{"jwt":"x\ny"}\n', '{"jwt":"…"}', false],
    ['one\ntwo\nthree\n', 'one\n…\nthree', true],
    ['one\nthree\n', 'one\n…\nthree', true],
    ['one\ntwo\n', 'one\n…\nthree', false],
    ['a+b\n', 'aab', false],
  ];
  for (const [output, shown, expected] of OUTPUTS) {
    it(`${JSON.stringify(output)} is ${expected ? '' : 'not '}${JSON.stringify(shown)}`, () =>
      assert.equal(isAsShown(output, shown), expected));
  }
});
