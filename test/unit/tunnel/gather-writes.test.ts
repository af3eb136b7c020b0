import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { BULK_PART_BYTES, WriteGatherer } from '../../../src/tunnel/gather-writes.ts';

describe('the parts of a body', () => {
  it('that are large leave together at the end of the turn, the small ones as they come', async () => {
    const seen: string[] = [];
    const to = { cork: () => seen.push('cork'), uncork: () => seen.push('uncork') };
    const gatherer = new WriteGatherer();
    gatherer.gather(to, BULK_PART_BYTES - 1);
    assert.deepEqual(seen, []);
    gatherer.gather(to, BULK_PART_BYTES);
    gatherer.gather(to, BULK_PART_BYTES);
    assert.deepEqual(seen, ['cork']);
    await turn();
    assert.deepEqual(seen, ['cork', 'uncork']);
    gatherer.gather(to, BULK_PART_BYTES);
    await turn();
    assert.deepEqual(seen, ['cork', 'uncork', 'cork', 'uncork']);
  });
});
