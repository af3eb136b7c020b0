import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { readMemory } from '../support/memory.ts';
import { type AgentFleet, startAgentFleet } from '../support/start-agent-fleet.ts';

const AGENTS = 200;
/** Processes that they run in. */
const FLEETS = 2;
const BACK_WITHIN_MS = 30_000;
/** Of those who come back, so many at most at one tenth of a second. */
const MAX_SHARE_AT_ONCE = 0.25;

let chain: ConnectorChain;
let connector: Connector;
let ca = '';
let fleets: AgentFleet[] = [];

before(async () => {
  chain = await startConnectorChain();
  connector = await chain.addConnector();
  const { folder } = await chain.install(connector, { mappings: [], gatewayUrls: ['https://localhost:1'] });
  ca = await readFile(join(folder, 'credentials', 'ca.crt'), 'utf8');
});
after(() => chain.stop());

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
const countConnections = (): number => sum(fleets.map((fleet) => fleet.connections()));

/** How many fall into each tenth of a second. */
function toTenths(ms: readonly number[]): number[] {
  const tenths: number[] = [];
  for (const one of ms) tenths[Math.floor(one / 100)] = (tenths[Math.floor(one / 100)] ?? 0) + 1;
  return Array.from(tenths, (count) => count ?? 0);
}

/** Waits until all have connected. @returns how long it took, in milliseconds, and how many came in each second */
async function watch(from: number): Promise<{ readonly ms: number; readonly seconds: string }> {
  const startedAt = performance.now();
  const seconds: number[] = [];
  let seen = from;
  const isBack = (): boolean => {
    const now = countConnections();
    const second = Math.floor((performance.now() - startedAt) / 1_000);
    seconds[second] = (seconds[second] ?? 0) + now - seen;
    seen = now;
    return now >= from + AGENTS;
  };
  await waitUntil('all are back', isBack, BACK_WITHIN_MS);
  return { ms: performance.now() - startedAt, seconds: seconds.join(' ') };
}

const ENDS: Readonly<Record<string, (gateway: GatewayProcess) => Promise<unknown>>> = {
  'is stopped': async (gateway) => assert.equal((await gateway.stop()).code, 0),
  'is killed': (gateway) => gateway.kill(),
};

describe(`${AGENTS} agents`, () => {
  for (const [name, end] of Object.entries(ENDS)) {
    it(`are back within ${BACK_WITHIN_MS / 1_000} s, and not all at once, where their gateway ${name}`, async (t) => {
      const gateway = await chain.startGateway();
      const idleBytes = await readMemory(gateway.pid);
      const order = { gatewayUrl: gateway.agentUrl, connectorId: connector.id, ca, count: AGENTS / FLEETS };
      const { key, cert } = connector;
      fleets = await Promise.all(Array.from({ length: FLEETS }, () => startAgentFleet({ ...order, key, cert })));
      // Also where this fails: agents that nobody ends keep the test's process, and the next one's figures, busy.
      t.after(() => Promise.all(fleets.map((fleet) => fleet.kill())));
      await watch(0);
      t.diagnostic(
        `the gateway has ${toMegabytes((await readMemory(gateway.pid)) - idleBytes)} more than without them`,
      );

      const before = countConnections();
      const endingAt = performance.now();
      await end(gateway);
      const endedMs = performance.now() - endingAt;
      const coming = watch(before);
      const { agentPort, callerPort } = gateway;
      const next = await chain.startGateway({ agentPort, callerPort });
      const { ms, seconds } = await coming;
      t.diagnostic(`it ended in ${toText(endedMs)}; all were back ${toText(ms)} later, each second ${seconds}`);
      // What they chose, not when they arrived: a machine that is busy takes them in heaps.
      const waits = fleets.flatMap((fleet) => fleet.firstWaits());
      const atOnce = Math.max(...toTenths(waits));
      assert.equal(waits.length, AGENTS);
      assert.ok(atOnce <= AGENTS * MAX_SHARE_AT_ONCE, `${atOnce} at once: ${toTenths(waits).join(' ')}`);
      await waitUntil('all are on the list', async () => (await countAtNewestNode()) === AGENTS);
      await Promise.all(fleets.map((fleet) => fleet.kill()));
      assert.equal((await next.stop()).code, 0);
    });
  }
});

/** What a gateway that was killed has said of its agents is on the list for a while. */
async function countAtNewestNode(): Promise<number> {
  const { instances } = await chain.admin<{ instances: { node: string; connectedAt: string }[] }>(
    'GET',
    `/connectors/${connector.id}`,
  );
  const newest = instances.toSorted((a, b) => (a.connectedAt < b.connectedAt ? 1 : -1))[0];
  return instances.filter(({ node }) => node === newest?.node).length;
}

const toText = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
const toMegabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
