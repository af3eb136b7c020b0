import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  ArrivingBodies,
  MAX_ARRIVING_BYTES,
  MAX_ARRIVING_PER_CONNECTOR,
} from '../../../../src/gateway/services/arriving-bodies.ts';
import { PART_OVERHEAD_BYTES } from '../../../../src/tunnel/limits.ts';

function begin(bodies: ArrivingBodies, connectorId: string, name: string, cut: string[]) {
  const body = bodies.begin(connectorId, () => {
    cut.push(name);
    body?.leave();
  });
  return body;
}

describe('bodies on their way to a service', () => {
  it('are so many for one connector, and the next ones find their places again', () => {
    const bodies = new ArrivingBodies();
    const all = Array.from({ length: MAX_ARRIVING_PER_CONNECTOR }, () => begin(bodies, 'one', '', []));
    assert.ok(all.every((body) => body !== undefined));
    assert.equal(begin(bodies, 'one', '', []), undefined);
    assert.notEqual(begin(bodies, 'other', '', []), undefined);
    all[3]?.leave();
    all[3]?.leave();
    assert.notEqual(begin(bodies, 'one', '', []), undefined);
    assert.equal(begin(bodies, 'one', '', []), undefined);
  });

  it('lose the fullest of the connector that holds most, where all hold too much', () => {
    const [bodies, cut] = [new ArrivingBodies(), [] as string[]];
    const part = MAX_ARRIVING_BYTES / 8 - PART_OVERHEAD_BYTES;
    begin(bodies, 'honest', 'bulk', cut)?.add(part * 3);
    const [small, large] = ['small', 'large'].map((name) => begin(bodies, 'hostile', name, cut));
    small?.add(part * 2);
    large?.add(part * 2.5);
    assert.deepEqual(cut, []);
    small?.add(part);
    assert.deepEqual(cut, ['small']);
    small?.add(part * 8);
    begin(bodies, 'third', 'third', cut)?.add(part * 2);
    assert.deepEqual(cut, ['small']);
  });

  it('count what each part costs', () => {
    const [bodies, cut] = [new ArrivingBodies(), [] as string[]];
    const body = begin(bodies, 'one', 'one', cut);
    for (let at = 0; at < MAX_ARRIVING_BYTES / PART_OVERHEAD_BYTES && cut.length === 0; at++) body?.add(1);
    assert.deepEqual(cut, ['one']);
  });
});
