import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';

import {
  createNodeDirectory,
  type NodeDirectory,
  RELOAD_EVERY_MS,
  RELOAD_PAUSE_MS,
} from '../../../../src/gateway/nodes/node-directory.ts';
import { NODE_EXPIRES_MS } from '../../../../src/gateway/nodes/node-record.ts';
import { createFakePresence } from './fake-presence.ts';

const toBody = (connectors: readonly string[], address = 'gw:8443'): string =>
  JSON.stringify({
    address,
    load: 0,
    agents: connectors.map((connector) => ({
      connector,
      instance: 'i',
      worker: 1,
      hostname: 'h',
      version: '1',
      connectedAt: 1,
    })),
  });

describe('what a gateway knows of the other nodes', () => {
  let presence = createFakePresence();
  let directory: NodeDirectory;
  let nowMs: number;
  let forgotten: number;
  let problems: string[];

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    nowMs += ms;
    mock.timers.tick(ms);
    await settle();
  };
  const open = async (): Promise<void> => {
    directory = createNodeDirectory({
      presence,
      nodeId: 'self',
      onForgotten: () => void forgotten++,
      onProblem: (detail) => problems.push(detail),
      monotonicMs: () => nowMs,
    });
    await settle();
  };
  const find = (connector: string): string[] =>
    directory.findHolders(connector).map(({ nodeId, isConfirmed }) => `${nodeId}${isConfirmed ? '' : '?'}`);

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    presence = createFakePresence();
    presence.bodies.set('gateway:self', toBody(['cn-1']));
    nowMs = 1_000_000;
    forgotten = 0;
    problems = [];
  });
  afterEach(() => {
    directory.close();
    mock.timers.reset();
  });

  test('the nodes that hold a connector are found, this one is not', async () => {
    presence.bodies.set('gateway:a', toBody(['cn-1', 'cn-2']));
    presence.bodies.set('gateway:b', toBody(['cn-2', 'cn-2']));
    presence.bodies.set('seen:cn-3', '{"at":1}');
    await open();
    assert.deepEqual(find('cn-1'), ['a']);
    assert.deepEqual(find('cn-2'), ['a', 'b']);
    assert.deepEqual(find('cn-3'), []);
    assert.equal(forgotten, 0);
  });

  test('what is announced and withdrawn is known soon', async () => {
    await open();
    await presence.announce('gateway:a', toBody(['cn-1']), 1);
    await pass(RELOAD_PAUSE_MS);
    assert.deepEqual(find('cn-1'), ['a']);
    await presence.announce('gateway:a', toBody([]), 1);
    await pass(RELOAD_PAUSE_MS);
    assert.deepEqual(find('cn-1'), []);
  });

  test('a node whose record is gone counts only by its connection, and not for long', async () => {
    presence.bodies.set('gateway:a', toBody(['cn-1']));
    await open();
    presence.bodies.delete('gateway:a');
    await pass(RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), ['a?']);
    assert.equal(directory.isKnown('a', 'gw:8443'), true);
    await pass(NODE_EXPIRES_MS - RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), ['a?']);
    await pass(RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), []);
    assert.equal(directory.isKnown('a', 'gw:8443'), false);
  });

  test('a store that is away: the copy counts as long as a record lives, then only connections that are open do', async () => {
    presence.bodies.set('gateway:a', toBody(['cn-1']));
    await open();
    presence.isAway = true;
    await pass(NODE_EXPIRES_MS);
    assert.deepEqual(find('cn-1'), ['a']);
    for (let round = 0; round < 10; round++) await pass(NODE_EXPIRES_MS);
    assert.deepEqual(find('cn-1'), ['a?']);
    assert.equal(problems.length, 1);
    presence.isAway = false;
    await pass(RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), ['a']);
  });

  test('a store that was emptied: this node is told that it is forgotten', async () => {
    await open();
    presence.bodies.clear();
    presence.tell();
    await pass(RELOAD_PAUSE_MS);
    assert.equal(forgotten, 1);
  });

  test('a broken record is left out with one line, the others count; a good one after it counts again', async () => {
    presence.bodies.set('gateway:a', toBody(['cn-1']));
    presence.bodies.set('gateway:b', '{"address":1}');
    presence.bodies.set('gateway:c\n', toBody(['cn-1']));
    await open();
    for (let round = 0; round < 3; round++) await pass(RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), ['a']);
    assert.equal(problems.length, 2);
    assert.ok(problems.every((line) => !line.includes('\n')));
    presence.bodies.set('gateway:b', toBody(['cn-1']));
    await pass(RELOAD_EVERY_MS);
    assert.deepEqual(find('cn-1'), ['a', 'b']);
  });

  test('a new address is another place', async () => {
    presence.bodies.set('gateway:a', toBody(['cn-1'], 'gw:1'));
    await open();
    presence.bodies.set('gateway:a', toBody(['cn-1'], 'gw:2'));
    await pass(RELOAD_EVERY_MS);
    assert.equal(directory.isKnown('a', 'gw:1'), false);
    assert.equal(directory.isKnown('a', 'gw:2'), true);
    assert.deepEqual(directory.findHolders('cn-1')[0]?.address, 'gw:2');
  });

  test('many that ask together wait for one reading, and readings keep their distance', async () => {
    await open();
    presence.calls.length = 0;
    const asked = Array.from({ length: 50 }, () => directory.refresh());
    await settle();
    assert.deepEqual(presence.calls, []);
    await pass(RELOAD_PAUSE_MS);
    await Promise.all(asked);
    assert.deepEqual(presence.calls, ['list gateway:']);
    await pass(RELOAD_PAUSE_MS);
    void directory.refresh();
    await settle();
    assert.equal(presence.calls.length, 2);
  });

  test('a refresh brings what was announced before it, also while another reading is under way', async () => {
    await open();
    await pass(RELOAD_PAUSE_MS);
    let release: () => void = () => undefined;
    const list = presence.list.bind(presence);
    presence.list = async (prefix) => {
      const found = await list(prefix);
      await new Promise<void>((resolve) => (release = resolve));
      return found;
    };
    const first = directory.refresh();
    await settle();
    presence.list = list;
    presence.bodies.set('gateway:a', toBody(['cn-1']));
    const second = directory.refresh();
    release();
    await first;
    assert.deepEqual(find('cn-1'), []);
    await pass(RELOAD_PAUSE_MS);
    await second;
    assert.deepEqual(find('cn-1'), ['a']);
  });

  test('a refresh does not fail where the store is away', async () => {
    await open();
    presence.isAway = true;
    await pass(RELOAD_PAUSE_MS);
    await directory.refresh();
    assert.equal(problems.length, 1);
  });

  test('after the end nothing is read', async () => {
    await open();
    directory.close();
    presence.calls.length = 0;
    presence.tell();
    await pass(RELOAD_EVERY_MS);
    assert.deepEqual(presence.calls, []);
  });
});
