import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { Agent, createRoster, pickWay, type Roster } from '../../../src/gateway/roster.ts';
import type { TunnelConnection } from '../../../src/tunnel/messages.ts';
import { createFakeWay, CRM } from './fake-way.ts';

const createAgent = (connectorId: string, instance: string, worker = 1): Agent =>
  new Agent({
    connectorId,
    serial: '01',
    expiresAt: 2_000_000_000,
    hello: { id: connectorId, instance, worker, version: '1', hostname: 'host' },
    connectedAt: 1,
    connection: { streamCount: 0 } as TunnelConnection,
  });

describe('the roster', () => {
  let changes = 0;
  let roster: Roster;
  beforeEach(() => {
    changes = 0;
    roster = createRoster(() => (changes += 1));
  });

  it('finds agents once they have said what they admit, and not before', () => {
    const agent = createAgent('cn-1', 'a');
    roster.add(agent);
    assert.deepEqual(roster.findByConnector('cn-1'), []);
    assert.deepEqual(roster.all(), [agent], 'its status shows it');
    roster.setTable(agent, [CRM]);
    assert.deepEqual(roster.findByConnector('cn-1'), [agent]);
    roster.setTable(agent, []);
    assert.deepEqual(roster.findByConnector('cn-1'), [agent], 'once, whatever it admits');
  });

  it('replaces the same connector, instance and worker, and nobody else', () => {
    const first = createAgent('cn-1', 'a');
    const others = [createAgent('cn-1', 'a', 2), createAgent('cn-1', 'b'), createAgent('cn-2', 'a')];
    for (const agent of [first, ...others]) {
      assert.equal(roster.add(agent), undefined);
      roster.setTable(agent, [CRM]);
    }
    const ghostless = createAgent('cn-1', 'a');
    assert.equal(roster.add(ghostless), first);
    assert.deepEqual(new Set(roster.all()), new Set([ghostless, ...others]));
    const found = roster.findByConnector('cn-1');
    assert.deepEqual(found, others.slice(0, 2), 'the new one has said nothing yet');
  });

  it('is not changed by the end of an agent whose place was taken', () => {
    const first = createAgent('cn-1', 'a');
    const second = createAgent('cn-1', 'a');
    roster.add(first);
    roster.add(second);
    roster.setTable(second, [CRM]);
    roster.remove(first);
    roster.setTable(first, [{ ...CRM, host: 'erp.virtual' }]);
    assert.deepEqual(roster.all(), [second]);
    assert.deepEqual(roster.findByConnector('cn-1'), [second]);
  });

  it('tells of those that come and go', () => {
    const agent = createAgent('cn-1', 'a');
    roster.add(agent);
    roster.setTable(agent, [CRM]);
    roster.remove(agent);
    roster.remove(agent);
    assert.equal(changes, 2);
    assert.deepEqual(roster.findByConnector('cn-1'), []);
  });

  it('lists instances for the other nodes', () => {
    roster.add(createAgent('cn-1', 'a', 2));
    assert.deepEqual(roster.toInstances('gw-1'), [
      { connector: 'cn-1', node: 'gw-1', instance: 'a', worker: 2, hostname: 'host', version: '1', connectedAt: 1 },
    ]);
  });
});

describe('picking a way', () => {
  it('takes none of none, and the one of one', () => {
    const way = createFakeWay('a');
    assert.equal(pickWay([]), undefined);
    assert.equal(pickWay([way]), way);
  });

  it('never takes the busier of two', () => {
    const [busy, idle] = [createFakeWay('busy'), createFakeWay('idle')];
    busy.inFlight = 5;
    for (let turn = 0; turn < 200; turn += 1) assert.equal(pickWay([busy, idle]), idle);
  });

  it('spreads over all, but never to the busiest', () => {
    const ways = Array.from({ length: 8 }, (_, at) => createFakeWay(String(at)));
    const [busiest] = ways;
    if (busiest) busiest.inFlight = 1;
    const counts = new Map(ways.map((way) => [way, 0]));
    for (let turn = 0; turn < 4_000; turn += 1) {
      const way = pickWay(ways);
      if (way) counts.set(way, (counts.get(way) ?? 0) + 1);
    }
    const [first, ...rest] = counts.values();
    assert.equal(first, 0);
    for (const count of rest) assert.ok(count > 300, `${count} of 4000`);
  });
});
