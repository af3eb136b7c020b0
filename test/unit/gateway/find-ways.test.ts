import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { AppError } from '../../../src/core/errors.ts';
import type { Caller, Connector } from '../../../src/gateway/connector.ts';
import { type Call, type FindWaysDeps, findLocalWays, findOtherWays } from '../../../src/gateway/find-ways.ts';
import type { Agent } from '../../../src/gateway/roster.ts';
import type { Way } from '../../../src/gateway/way.ts';
import type { AccessRule } from '../../../src/tunnel/access.ts';
import { createFakeWay, CRM, type FakeWay } from './fake-way.ts';

const CALLER: Caller = { id: 'cl-1', name: 'bot', tokenHash: '', createdAt: 0 };
const CALL: Call = { host: 'crm.virtual', port: 8080, method: 'GET', target: '/api/orders', caller: CALLER };

type FakeAgent = FakeWay & { readonly connectorId: string };

describe('finding ways', () => {
  let agents: FakeAgent[];
  let enabled: Set<string>;
  let remote: Map<string, readonly Way[]>;
  /** What the copy learns when it is asked to look again. */
  let onRefresh: () => void;
  let deps: FindWaysDeps;

  const addAgent = (connectorId: string, label: string, table: readonly AccessRule[] = [CRM]): FakeAgent => {
    const agent = Object.assign(createFakeWay(label, table), { connectorId });
    agents.push(agent);
    return agent;
  };
  const toConnector = (id: string): Connector => ({ id, enabled: enabled.has(id) }) as Connector;

  beforeEach(() => {
    agents = [];
    enabled = new Set(['cn-1']);
    remote = new Map();
    onRefresh = () => undefined;
    const ids = ['cn-1', 'cn-2', 'cn-3'];
    deps = {
      directory: {
        findConnector: (id) => (ids.includes(id) ? toConnector(id) : undefined),
        listEnabled: () => ids.filter((id) => enabled.has(id)),
        refreshOnMiss: async () => onRefresh(),
      },
      roster: {
        findByConnector: (id) => agents.filter(({ connectorId }) => connectorId === id) as unknown as Agent[],
      },
      remote: { find: async (id) => remote.get(id) ?? [] },
    };
  });

  const refusedWith = async (find: () => unknown): Promise<string> => {
    try {
      await find();
    } catch (error) {
      assert.ok(error instanceof AppError);
      return error.code;
    }
    return 'nothing';
  };

  it('takes all agents of the one connector that the caller may use', () => {
    const ways = [addAgent('cn-1', 'a'), addAgent('cn-1', 'b')];
    addAgent('cn-2', 'c');
    assert.deepEqual(findLocalWays(deps, CALL), { connectorId: 'cn-1', ways });
  });

  it('leaves out agents whose own table does not admit it', () => {
    const way = addAgent('cn-1', 'a');
    addAgent('cn-1', 'b', [{ ...CRM, allowedPaths: ['/other/*'] }]);
    assert.deepEqual(findLocalWays(deps, CALL)?.ways, [way]);
  });

  const REFUSALS: Readonly<Record<string, { call: Partial<Call>; code: string }>> = {
    'a path that is not allowed': { call: { target: '/admin' }, code: 'path_forbidden' },
    'a path that is refused as such': { call: { target: '/api/../admin' }, code: 'invalid_request' },
    'an upgrade that is not allowed': { call: { upgrade: 'websocket' }, code: 'path_forbidden' },
    'a connector that is not the caller’s': {
      call: { connectorId: 'cn-2', caller: { ...CALLER, connectors: ['cn-1'] } },
      code: 'connector_forbidden',
    },
  };
  for (const [name, { call, code }] of Object.entries(REFUSALS)) {
    it(`refuses ${name}`, async () => {
      addAgent('cn-1', 'a');
      addAgent('cn-2', 'b', []);
      assert.equal(await refusedWith(() => findLocalWays(deps, { ...CALL, ...call })), code);
    });
  }

  // Of two companies each may call an application of its own by the same name.
  const AWAY: Readonly<Record<string, readonly string[]>> = {
    'both are here': ['cn-1', 'cn-2'],
    'the right one is away': ['cn-2'],
    'both are away': [],
  };
  for (const [name, here] of Object.entries(AWAY)) {
    it(`does not guess between the connectors that a caller may use: ${name}`, async () => {
      enabled.add('cn-2');
      for (const id of here) addAgent(id, id);
      remote.set('cn-1', [createFakeWay('gw-2', undefined)]);
      assert.equal(await refusedWith(() => findLocalWays(deps, CALL)), 'invalid_request');
      assert.equal(await refusedWith(() => findOtherWays(deps, CALL, false)), 'invalid_request');
      assert.equal((await findOtherWays(deps, { ...CALL, connectorId: 'cn-1' }, false)).connectorId, 'cn-1', 'named');
      const own = { ...CALL, caller: { ...CALLER, connectors: ['cn-1'] } };
      assert.equal((await findOtherWays(deps, own, false)).connectorId, 'cn-1', 'the only one of the caller');
    });
  }

  it('finds a connector that was enabled a moment ago', async () => {
    enabled.clear();
    const way = addAgent('cn-1', 'a');
    assert.equal(findLocalWays(deps, CALL), undefined);
    onRefresh = () => enabled.add('cn-1');
    assert.deepEqual((await findOtherWays(deps, CALL, false)).ways, [way]);
  });

  it('goes through another node, as one connector', async () => {
    const way = createFakeWay('gw-2', undefined);
    remote.set('cn-1', [way]);
    assert.deepEqual(await findOtherWays(deps, CALL, false), { connectorId: 'cn-1', ways: [way] });
  });

  const NOBODY: Readonly<Record<string, { call?: Partial<Call>; isHere?: boolean; code: string }>> = {
    'no agent anywhere': { code: 'connector_unavailable' },
    'a connector that is disabled': { call: { connectorId: 'cn-3' }, code: 'connector_unavailable' },
    'a connector that does not exist': { call: { connectorId: 'cn-9' }, code: 'connector_unavailable' },
    'a caller without a connector': { call: { caller: { ...CALLER, connectors: [] } }, code: 'connector_unavailable' },
    'an agent that does not know the host': { isHere: true, code: 'application_unknown' },
  };
  for (const [name, { call, isHere = false, code }] of Object.entries(NOBODY)) {
    it(`says it of ${name}`, async () => {
      if (isHere) addAgent('cn-1', 'a', [{ ...CRM, host: 'erp.virtual' }]);
      assert.equal(await refusedWith(() => findOtherWays(deps, { ...CALL, ...call }, false)), code);
    });
  }

  it('does not come back to agents that are used up', async () => {
    addAgent('cn-1', 'a');
    const way = createFakeWay('gw-2', undefined);
    remote.set('cn-1', [way]);
    assert.deepEqual((await findOtherWays(deps, CALL, true)).ways, [way]);
    remote.clear();
    assert.equal(await refusedWith(() => findOtherWays(deps, CALL, true)), 'connector_unavailable');
  });
});
