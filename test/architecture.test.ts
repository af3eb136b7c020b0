import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { describe, it } from 'node:test';
import { checkArchitecture, type Sources } from './support/architecture.ts';
import { findSpecifiers, stripComments } from './support/source-text.ts';

async function readSources(): Promise<Sources> {
  const entries = await readdir('src', { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sources = new Map<string, string>();
  for (const path of paths.sort()) sources.set(path.split(sep).join('/'), await readFile(path, 'utf8'));
  return sources;
}

interface Case {
  readonly files: Readonly<Record<string, string>>;
  readonly complaints: readonly string[];
}

function importing(specifier: string): string {
  return `import { it } from '${specifier}';\n`;
}

const COLON = 'does not belong here';

/** Made-up trees. Each offence is reported, and nothing beside it. */
const CASES: Readonly<Record<string, Case>> = {
  'nothing wrong': {
    files: {
      'src/main.ts': `${importing('./cli/start.ts')}import 'dotenv/config';\nrun(process.env);\n`,
      'src/cli/start.ts': importing('../idproxy/routes.ts') + importing('../stores/redis.ts'),
      'src/idproxy/routes.ts': importing('express') + importing('../stores/ports.ts') + importing('../core/clock.ts'),
      'src/stores/ports.ts': `export interface Store {}\n// express, process.env and Date.now() may be talked about\n`,
      'src/stores/redis.ts': importing('ioredis') + importing('./ports.ts'),
      'src/stores/embedded-documents.ts': importing('@photostructure/sqlite'),
      'src/core/clock.ts': 'export const now = () => Date.now();\n',
      'src/core/dates.ts': 'export const at = (ms: number) => new Date(ms);\n',
      'src/http/server.ts': importing('express'),
      'src/jose/web-site.ts': `export const url = 'https://example.org/a'; // it's\nexport const mark = /["'/*]/;\n`,
      'src/welcome/web/page.ts': importing('./steps.ts'),
      'src/welcome/web/steps.ts': '',
      'src/welcome/web/tsconfig.json': '{}',
    },
    complaints: [],
  },
  'the edge of the packaged agent': {
    files: {
      'src/connector-main.ts': `${importing('./cli/agent.ts')}run(process.env);\n`,
      'src/cli/agent.ts': importing('../connector/agent.ts'),
      'src/connector/agent.ts': '',
    },
    complaints: [],
  },
  'an edge of another name': {
    files: { 'src/gateway-main.ts': 'run(process.env);\n' },
    complaints: ['src/gateway-main.ts: no room of the architecture', `src/gateway-main.ts: process.env ${COLON}`],
  },
  'the edge of the packaged agent from below': {
    files: { 'src/connector/agent.ts': importing('../connector-main.ts'), 'src/connector-main.ts': '' },
    complaints: ['src/connector/agent.ts: may not import src/connector-main.ts'],
  },
  'a room above': {
    files: { 'src/core/ids.ts': importing('../jose/jws.ts'), 'src/jose/jws.ts': '' },
    complaints: ['src/core/ids.ts: may not import src/jose/jws.ts'],
  },
  'a room on the same floor': {
    files: { 'src/issuer/mint.ts': importing('../idproxy/verify.ts'), 'src/idproxy/verify.ts': '' },
    complaints: ['src/issuer/mint.ts: may not import src/idproxy/verify.ts'],
  },
  'a store behind its port': {
    files: { 'src/apps/registry.ts': importing('../stores/embedded.ts'), 'src/stores/embedded.ts': '' },
    complaints: ['src/apps/registry.ts: may not import src/stores/embedded.ts'],
  },
  'the port from a room without stores': {
    files: { 'src/issuer/mint.ts': importing('../stores/ports.ts'), 'src/stores/ports.ts': '' },
    complaints: ['src/issuer/mint.ts: may not import src/stores/ports.ts'],
  },
  'a type import counts': {
    files: { 'src/http/log.ts': "import type { App } from '../apps/app.ts';", 'src/apps/app.ts': '' },
    complaints: ['src/http/log.ts: may not import src/apps/app.ts'],
  },
  'a re-export counts': {
    files: { 'src/http/log.ts': "export * from '../apps/app.ts';", 'src/apps/app.ts': '' },
    complaints: ['src/http/log.ts: may not import src/apps/app.ts'],
  },
  'a dynamic import counts': {
    files: { 'src/http/log.ts': "const app = await import(\n  '../apps/app.ts');", 'src/apps/app.ts': '' },
    complaints: ['src/http/log.ts: may not import src/apps/app.ts'],
  },
  'a bare import over several lines counts': {
    files: { 'src/http/log.ts': "import {\n  a, // one\n  b,\n} from '../apps/app.ts'", 'src/apps/app.ts': '' },
    complaints: ['src/http/log.ts: may not import src/apps/app.ts'],
  },
  'a computed import': {
    files: { 'src/http/log.ts': 'await import(name);' },
    complaints: ['src/http/log.ts: imports something whose name is computed'],
  },
  'a bot that an operator names': {
    files: { 'src/cli/load-bot.ts': 'await import(href);' },
    complaints: [],
  },
  'a web socket elsewhere': {
    files: { 'src/sessions/socket/upgrade.ts': importing('ws'), 'src/sessions/start.ts': importing('ws') },
    complaints: [`src/sessions/start.ts: ws ${COLON}`],
  },
  'the page that imports ours': {
    files: { 'src/welcome/web/page.ts': importing('../../core/json.ts'), 'src/core/json.ts': '' },
    complaints: ['src/welcome/web/page.ts: may not import src/core/json.ts'],
  },
  'ours that imports the page': {
    files: { 'src/welcome/routes.ts': importing('./web/page.ts'), 'src/welcome/web/page.ts': '' },
    complaints: ['src/welcome/routes.ts: may not import src/welcome/web/page.ts'],
  },
  'the edge from below': {
    files: { 'src/http/log.ts': importing('../main.ts'), 'src/main.ts': '' },
    complaints: ['src/http/log.ts: may not import src/main.ts'],
  },
  'a file that is not there': {
    files: { 'src/http/log.ts': importing('../../test/support/clock.ts') },
    complaints: ['src/http/log.ts: imports test/support/clock.ts, which is not there'],
  },
  'an unknown room': {
    files: { 'src/things/one.ts': '' },
    complaints: ['src/things/one.ts: no room of the architecture'],
  },
  'a cycle within a room': {
    files: {
      'src/jose/a.ts': importing('./b.ts'),
      'src/jose/b.ts': importing('./c.ts'),
      'src/jose/c.ts': importing('./a.ts'),
    },
    complaints: ['cycle: src/jose/a.ts → src/jose/b.ts → src/jose/c.ts → src/jose/a.ts'],
  },
  'express in a handler': {
    files: { 'src/idproxy/exchange.ts': "import type { Request } from 'express';" },
    complaints: [`src/idproxy/exchange.ts: express ${COLON}`],
  },
  'the Redis client outside its store': {
    files: { 'src/http/ready.ts': importing('ioredis'), 'src/stores/embedded.ts': "await import('ioredis');" },
    complaints: [`src/http/ready.ts: ioredis ${COLON}`, `src/stores/embedded.ts: ioredis ${COLON}`],
  },
  'SQLite outside its store': {
    files: { 'src/stores/redis.ts': importing('@photostructure/sqlite'), 'src/cli/apps.ts': importing('node:sqlite') },
    complaints: [
      `src/stores/redis.ts: @photostructure/sqlite ${COLON}`,
      `src/cli/apps.ts: @photostructure/sqlite ${COLON}`,
    ],
  },
  'the environment below the edge': {
    files: {
      'src/config/load.ts': 'process.env.HOME;',
      'src/cli/start.ts': "process['env'];",
      'src/http/log.ts': importing('node:process') + importing('dotenv'),
    },
    complaints: [
      `src/config/load.ts: process.env ${COLON}`,
      `src/cli/start.ts: process.env ${COLON}`,
      `src/http/log.ts: dotenv ${COLON}`,
      `src/http/log.ts: an import of process ${COLON}`,
    ],
  },
  'the wall clock and chance': {
    files: {
      'src/jose/a.ts': 'Date.now();',
      'src/jose/b.ts': 'new Date();',
      'src/jose/c.ts': '`${new Date().getTime()}`;',
      'src/jose/d.ts': 'const now = Date.now;',
      'src/jose/e.ts': 'new Date;',
      'src/core/ids.ts': 'Math.random();',
    },
    complaints: [
      ...['a', 'b', 'c', 'd', 'e'].map((name) => `src/jose/${name}.ts: the wall clock ${COLON}`),
      `src/core/ids.ts: Math.random ${COLON}`,
    ],
  },
  'a default export': {
    files: { 'src/core/a.ts': 'export default 1;', 'src/core/b.ts': 'export { b as default };' },
    complaints: [`src/core/a.ts: a default export ${COLON}`, `src/core/b.ts: a default export ${COLON}`],
  },
  'names and size': {
    files: {
      'src/core/fineName.ts': '',
      'src/core/http-utils.ts': '',
      'src/http/helpers/a.ts': '',
      'src/http/long.ts': '\n'.repeat(251),
      'src/http/full.ts': '\n'.repeat(250),
    },
    complaints: [
      'src/core/fineName.ts: not kebab-case',
      'src/core/http-utils.ts: a name that says nothing',
      'src/http/helpers/a.ts: a name that says nothing',
      'src/http/long.ts: 251 lines, at most 250',
    ],
  },
};

describe('the architecture', () => {
  it('holds in src/', async () => {
    const sources = await readSources();
    assert.ok(sources.has('src/core/clock.ts'), 'src/ was read');
    assert.deepEqual(checkArchitecture(sources), []);
  });

  for (const [name, { files, complaints }] of Object.entries(CASES)) {
    it(`is checked: ${name}`, () => {
      assert.deepEqual(checkArchitecture(new Map(Object.entries(files))), complaints);
    });
  }

  it('reads imports past comments, strings and regular expressions', () => {
    const code = stripComments(
      [
        "// import 'line';",
        "/* import 'block'; */ import 'after-block';",
        "const url = 'http://host/*'; import { a } from 'after-url';",
        'const quote = /[/"\']/; export { b } from "after-regex"; // import "tail"',
        'const half = 4 / 2; import "after-division"; const other = 1 / 3;',
        'const text = `// ${value} /*`; import type { C } from "after-template";',
      ].join('\n'),
    );
    const expected = ['after-block', 'after-division', 'after-regex', 'after-template', 'after-url'];
    assert.deepEqual(findSpecifiers(code).sort(), expected);
  });
});
