import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { createAsyncapiYaml } from '../../scripts/asyncapi.ts';

const { schemas } = createRequire(import.meta.url)('@asyncapi/specs') as {
  schemas: Readonly<Record<string, Record<string, unknown>>>;
};

/** What is wrong with a document, by the specification's own schema. */
function findFaults(document: unknown): string[] {
  // The specification's schema brings the meta-schema that Ajv has already.
  const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
  const validate = ajv.compile(schemas['3.0.0'] ?? {});
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe('docs/asyncapi.yaml', () => {
  it('is what the code says', async () => {
    assert.equal(await readFile('docs/asyncapi.yaml', 'utf8'), createAsyncapiYaml());
  });

  it('is a document of AsyncAPI 3.0', () => {
    const document = parse(createAsyncapiYaml()) as { operations: Record<string, { action: string }> };
    assert.deepEqual(findFaults(document), []);
    const broken = structuredClone(document);
    broken.operations['sendFrame'] = { action: 'shout' };
    assert.notDeepEqual(findFaults(broken), []);
  });
});
