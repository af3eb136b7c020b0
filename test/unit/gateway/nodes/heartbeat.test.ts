import assert from 'node:assert/strict';
import { beforeEach, describe, mock, test } from 'node:test';

import {
  ANNOUNCE_AFTER_MS,
  ANNOUNCE_RETRY_MS,
  createHeartbeat,
  type Heartbeat,
  SEEN_EVERY_MS,
} from '../../../../src/gateway/nodes/heartbeat.ts';
import { HEARTBEAT_EVERY_MS, type NodeAgent } from '../../../../src/gateway/nodes/node-record.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { createFakePresence } from './fake-presence.ts';

const START_AT = 1_700_000_000;
const toAgent = (connector: string): NodeAgent => ({
  connector,
  instance: `${connector}-i`,
  worker: 1,
  hostname: 'host',
  version: '1.0.0',
  connectedAt: START_AT,
});

describe("a gateway's heartbeat", () => {
  let presence = createFakePresence();
  let clock = createFakeClock(START_AT);
  let agents: NodeAgent[];
  let load: number;
  let problems: string[];

  beforeEach(() => {
    presence = createFakePresence();
    clock = createFakeClock(START_AT);
    agents = [];
    load = 0;
    problems = [];
  });

  /** Lets what waits for nothing but promises come to its end. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.set(clock.nowSeconds() + ms / 1_000);
    mock.timers.tick(ms);
    await settle();
  };
  const run = async (act: (heartbeat: Heartbeat) => Promise<void>): Promise<void> => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const heartbeat = createHeartbeat({
      presence,
      nodeId: 'gw-1',
      address: '127.0.0.1:8443',
      agents: () => agents,
      load: () => load,
      clock,
      onProblem: (detail) => problems.push(detail),
    });
    try {
      await settle();
      await act(heartbeat);
    } finally {
      await heartbeat.stop();
      mock.timers.reset();
    }
  };
  const readRecord = (): unknown => JSON.parse(presence.bodies.get('gateway:gw-1') ?? 'null') as unknown;
  const takeCalls = (): string[] => presence.calls.splice(0);

  test('tells of the node at once and again and again, always what is so then', () =>
    run(async () => {
      assert.deepEqual(readRecord(), { address: '127.0.0.1:8443', load: 0, agents: [] });
      load = 7;
      agents = [{ ...toAgent('cn-1'), node: 'gw-1' } as NodeAgent];
      await pass(HEARTBEAT_EVERY_MS);
      assert.deepEqual(readRecord(), { address: '127.0.0.1:8443', load: 7, agents: [toAgent('cn-1')] });
      takeCalls();
      for (let beat = 0; beat < 3; beat++) await pass(HEARTBEAT_EVERY_MS);
      assert.deepEqual(takeCalls(), Array(3).fill('announce gateway:gw-1'));
    }));

  test('changes that come together are told once, soon', () =>
    run(async (heartbeat) => {
      takeCalls();
      for (const name of ['cn-1', 'cn-2', 'cn-3']) {
        agents.push(toAgent(name));
        heartbeat.changed();
      }
      await pass(ANNOUNCE_AFTER_MS - 1);
      assert.deepEqual(takeCalls(), []);
      await pass(1);
      assert.deepEqual(takeCalls(), [
        'announce gateway:gw-1',
        'announce seen:cn-1',
        'announce seen:cn-2',
        'announce seen:cn-3',
      ]);
      assert.deepEqual(readRecord(), { address: '127.0.0.1:8443', load: 0, agents: agents });
    }));

  test('what changes while it is being told is told after it', () =>
    run(async (heartbeat) => {
      const releases: (() => void)[] = [];
      const announce = presence.announce.bind(presence);
      presence.announce = async (...args) => {
        await new Promise<void>((resolve) => releases.push(resolve));
        return announce(...args);
      };
      agents = [toAgent('cn-1')];
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      agents = [];
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      assert.equal(releases.length, 1);
      presence.announce = announce;
      releases[0]?.();
      await settle();
      await pass(1);
      assert.deepEqual(readRecord(), { address: '127.0.0.1:8443', load: 0, agents: [] });
    }));

  test('when a connector was last there is noted as it comes, as it goes and now and then', () =>
    run(async (heartbeat) => {
      const readSeen = (): unknown => JSON.parse(presence.bodies.get('seen:cn-1') ?? 'null') as unknown;
      const change = async (next: NodeAgent[]): Promise<void> => {
        agents = next;
        heartbeat.changed();
        await pass(ANNOUNCE_AFTER_MS);
      };
      await change([toAgent('cn-1')]);
      assert.deepEqual(readSeen(), { at: START_AT + 0.1 });
      await change([toAgent('cn-1'), { ...toAgent('cn-1'), worker: 2 }]);
      assert.deepEqual(readSeen(), { at: START_AT + 0.1 });
      while (clock.nowSeconds() < START_AT + SEEN_EVERY_MS / 1_000) await pass(HEARTBEAT_EVERY_MS);
      assert.deepEqual(readSeen(), { at: clock.nowSeconds() });
      await change([{ ...toAgent('cn-1'), worker: 2 }]);
      await change([]);
      assert.deepEqual(readSeen(), { at: clock.nowSeconds() });
    }));

  test('a store that is away is one line; it is tried again every second, and nothing is forgotten', () =>
    run(async (heartbeat) => {
      presence.isAway = true;
      agents = [toAgent('cn-1')];
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      agents = [];
      takeCalls();
      for (let beat = 0; beat < 3; beat++) await pass(ANNOUNCE_RETRY_MS);
      assert.deepEqual(takeCalls(), Array(3).fill('announce gateway:gw-1'));
      assert.equal(problems.length, 1);
      presence.isAway = false;
      await pass(ANNOUNCE_RETRY_MS);
      assert.deepEqual(takeCalls(), ['announce gateway:gw-1', 'announce seen:cn-1']);
      await pass(HEARTBEAT_EVERY_MS);
      assert.deepEqual(takeCalls(), ['announce gateway:gw-1']);
      presence.isAway = true;
      await pass(HEARTBEAT_EVERY_MS);
      assert.equal(problems.length, 2);
    }));

  test('the end takes the record away, notes who was there, and is the last that is said', () =>
    run(async (heartbeat) => {
      agents = [toAgent('cn-1')];
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      await pass(HEARTBEAT_EVERY_MS);
      takeCalls();
      await heartbeat.stop();
      await heartbeat.stop();
      heartbeat.changed();
      await pass(HEARTBEAT_EVERY_MS);
      assert.deepEqual(takeCalls(), ['withdraw gateway:gw-1', 'announce seen:cn-1']);
      assert.equal(presence.bodies.has('gateway:gw-1'), false);
      assert.equal(presence.bodies.get('seen:cn-1'), JSON.stringify({ at: START_AT + 10.1 }));
    }));

  test('the end waits for what is being said, so that it is not said behind it', () =>
    run(async (heartbeat) => {
      let release: () => void = () => undefined;
      const announce = presence.announce.bind(presence);
      presence.announce = async (...args) => {
        await new Promise<void>((resolve) => (release = resolve));
        return announce(...args);
      };
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      heartbeat.changed();
      await pass(ANNOUNCE_AFTER_MS);
      presence.announce = announce;
      const stopped = heartbeat.stop();
      release();
      await stopped;
      await pass(HEARTBEAT_EVERY_MS);
      assert.equal(presence.bodies.has('gateway:gw-1'), false);
    }));

  test('the end does not fail where the store is away', () =>
    run(async (heartbeat) => {
      presence.isAway = true;
      await heartbeat.stop();
      assert.equal(problems.length, 1);
    }));
});
