import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import { readAccessControl } from '../src/connector/config/access-control.ts';
import { readConnectorConfig } from '../src/connector/config/connector-config.ts';
import { parseJsonNodes } from '../src/connector/config/json-positions.ts';
import type { Reader } from '../src/connector/config/shape.ts';
import { type ErrorCode, ERRORS } from '../src/core/errors.ts';

/** What the pages about the connector say is what the code says. */

const read = (path: string): string => readFileSync(path, 'utf8');

function listFiles(folder: string, suffix: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.filter((path) => path.endsWith(suffix)).map((path) => join(folder, path));
}

describe('troubleshoot.md', () => {
  const MESSAGE = /\blog\??\.(?:fatal|critical|error|warn|info)\(\s*'([^']+)'/g;
  const pages = ['docs/connector/troubleshoot.md', 'docs/connector/webhooks.md'].filter((path) => existsSync(path));
  const text = pages.map(read).join('\n');
  const sources = listFiles('src/connector', '.ts').filter((path) => !path.includes('webhooks'));
  const messages = sources.flatMap((path) => [...read(path).matchAll(MESSAGE)].map(([, message = '']) => message));

  it('finds what the agent logs', () => assert.ok(messages.length > 15, String(messages.length)));
  for (const message of new Set(messages)) {
    // A long one may be cut short in the page.
    const start = message.slice(0, 60);
    it(`has "${start}"`, () => assert.ok(text.includes(start), message));
  }
});

describe('operate.md', () => {
  const ROW = /^\| (\d{3}) \| (`[a-z_`, ]+`) \|/gm;
  const rows = [...read('docs/connector/operate.md').matchAll(ROW)].flatMap(([, status = '', codes = '']) =>
    codes.split(', ').map((code) => ({ status: Number(status), code: code.replaceAll('`', '') })),
  );
  for (const { status, code } of rows) {
    it(`is right about ${code}`, () => assert.equal(ERRORS[code as ErrorCode]?.status, status));
  }

  const RELAYED = /^(?:application|connector|path|tunnel|caller)_(?!not_found|conflict|limit|not_enabled)/;
  for (const code of Object.keys(ERRORS).filter((name) => RELAYED.test(name))) {
    it(`has ${code}`, () => assert.ok(rows.some((row) => row.code === code)));
  }
});

/** The settings that an object may have, by what is said of one that it may not have. */
function listSettings(reader: Reader<unknown>, json: string): string[] {
  const sentences: string[] = [];
  const files = {
    read: () => ({ mode: 0, isMissing: true, maxBytes: 0 }),
    toPath: String,
    toName: String,
    findNoFolder: () => undefined,
  };
  const scope = {
    fault: (...[, , text]: [number, string, string]) => void sentences.push(text),
    warn: () => undefined,
  };
  reader(
    parseJsonNodes(json, () => undefined),
    '',
    { ...scope, files, nowSeconds: 0 },
  );
  const found = sentences.map((text) => /^there is no such setting; there are (.*)$/.exec(text)?.[1]);
  return found.flatMap((names) => names?.split(', ') ?? []);
}

describe('configure.md', () => {
  const page = read('docs/connector/configure.md');
  const OBJECTS: readonly [string, Reader<unknown>, string, string][] = [
    ['an application', readAccessControl(() => 1), '[{"qqqqqqqqqq":1}]', ''],
    ['its TLS', readAccessControl(() => 1), '[{"tls":{"qqqqqqqqqq":1}}]', 'tls.'],
    ['the credentials', readConnectorConfig, '{"credentials":{"qqqqqqqqqq":1}}', 'credentials.'],
    ['a log', readConnectorConfig, '{"logger":{"applogs":{"qqqqqqqqqq":1}}}', 'logger.applogs.'],
    ['the cluster', readConnectorConfig, '{"cluster":{"qqqqqqqqqq":1}}', 'cluster.'],
    ['the proxy', readConnectorConfig, '{"tunnel":{"qqqqqqqqqq":1}}', ''],
    ['the gateway', readConnectorConfig, '{"gateway":{"qqqqqqqqqq":1}}', 'gateway.'],
    ['the webhooks', readConnectorConfig, '{"webhooks":{"qqqqqqqqqq":1}}', 'webhooks.'],
  ];
  for (const [name, reader, json, prefix] of OBJECTS) {
    it(`has every setting of ${name}`, () => {
      const settings = listSettings(reader, json);
      assert.ok(settings.length > 0);
      assert.deepEqual(settings.filter((setting) => !page.includes(`\`${prefix}${setting}\``)), []); // prettier-ignore
    });
  }
});

describe('links into pages', () => {
  const LINK = /\]\(([^)#\s:]*)#([^)\s]+)\)/g;
  const toAnchor = (heading: string): string =>
    heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').trim().replaceAll(' ', '-'); // prettier-ignore
  const listAnchors = (page: string): string[] =>
    [...read(page).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => toAnchor(heading));

  for (const page of ['README.md', ...listFiles('docs', '.md')]) {
    for (const [link, to = '', anchor = ''] of read(page).matchAll(LINK)) {
      const target = to === '' ? page : join(dirname(page), to);
      if (!existsSync(target)) continue;
      it(`${page} ${link.slice(1)}`, () => assert.ok(listAnchors(target).includes(anchor)));
    }
  }
});
