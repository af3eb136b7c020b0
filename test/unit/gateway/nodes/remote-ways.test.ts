import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import type { NodeIdentity } from '../../../../src/gateway/nodes/dial-node.ts';
import { createNodeDirectory, type NodeDirectory } from '../../../../src/gateway/nodes/node-directory.ts';
import { NODE_EXPIRES_MS } from '../../../../src/gateway/nodes/node-record.ts';
import { DIAL_TIMEOUT_MS, REDIAL_AFTER_MS, REDIAL_CAP_MS } from '../../../../src/gateway/nodes/node-link.ts';
import {
  createRemoteWays,
  LINK_IDLE_MS,
  LINK_WAIT_MS,
  type NodeLinks,
} from '../../../../src/gateway/nodes/remote-ways.ts';
import type { Way } from '../../../../src/gateway/way.ts';
import type { RequestHead, StreamHandlers, TunnelStream } from '../../../../src/tunnel/messages.ts';
import { MAX_STREAMS } from '../../../../src/tunnel/limits.ts';
import { createBufferBudget } from '../../../../src/tunnel/receive-window.ts';
import { until } from '../../../contract/attempts.ts';
import { startOpenssl } from '../openssl.ts';
import { createFakePresence } from './fake-presence.ts';
import { type FakeNode, type FakeNodeTraits, startFakeNode, toHello } from './fake-node.ts';
import { createNodeAuthority, type NodeAuthority } from './node-certificates.ts';

const toNames = (nodeId: string): string => `URI=urn:countersign:gateway:${nodeId}\nDNS=localhost\nIP=127.0.0.1`;
const HEAD: RequestHead = { to: { host: 'crm.virtual', port: 8080 }, method: 'POST', target: '/', fields: [] };

interface Heard extends StreamHandlers {
  readonly events: string[];
  readonly body: () => string;
}

/** Notes what comes: `200`, `end`, `reset lost`. */
function listen(): Heard {
  const events: string[] = [];
  const chunks: Buffer[] = [];
  return {
    events,
    body: () => Buffer.concat(chunks).toString(),
    onResponse: ({ status }) => void events.push(String(status)),
    onData: (chunk) => void chunks.push(chunk),
    onEnd: () => void events.push('end'),
    onReset: (code) => void events.push(`reset ${code}`),
  };
}

describe('ways over other nodes', () => {
  let authority: NodeAuthority;
  let own: NodeIdentity;
  let theirs: NodeIdentity;
  const ends: (() => Promise<void>)[] = [];

  let presence = createFakePresence();
  let directory: NodeDirectory;
  let ways: NodeLinks;
  let problems: string[];
  let nowMs: number;
  let nodes: FakeNode[];
  let identity: NodeIdentity;

  before(async () => {
    const openssl = await startOpenssl({ after: (end) => void ends.push(end) });
    authority = await createNodeAuthority(openssl);
    own = await authority.sign(toNames('self'));
    theirs = await authority.sign(toNames('b'));
  });
  after(async () => {
    for (const end of ends) await end();
  });
  beforeEach(() => {
    presence = createFakePresence();
    problems = [];
    nodes = [];
    nowMs = 1_000_000;
    identity = own;
    const deps = { onProblem: (detail: string) => void problems.push(detail), monotonicMs: () => nowMs };
    directory = createNodeDirectory({ presence, nodeId: 'self', onForgotten: () => undefined, ...deps });
    const budget = createBufferBudget();
    ways = createRemoteWays({ directory, hello: toHello('self'), identity: () => identity, budget, ...deps });
  });
  afterEach(async () => {
    ways.close();
    directory.close();
    await Promise.all(nodes.map((node) => node.stop()));
  });

  const announce = (nodeId: string, address: string, connectors = ['cn-1']): Promise<void> => {
    const agents = connectors.map((connector) => ({
      connector,
      instance: 'i',
      worker: 1,
      hostname: 'h',
      version: '1',
      connectedAt: 1,
    }));
    return presence.announce(`gateway:${nodeId}`, JSON.stringify({ address, load: 0, agents }), 1);
  };
  const start = async (traits?: FakeNodeTraits, nodeId = 'b', shown = theirs): Promise<FakeNode> => {
    const node = await startFakeNode(nodeId, shown, traits);
    nodes.push(node);
    await announce(nodeId, node.address);
    return node;
  };
  /** Reads the records, and looks over the connections. */
  const lookOver = async (): Promise<void> => {
    await directory.refresh();
    ways.tidy();
  };
  const findOne = async (connector = 'cn-1'): Promise<Way> => {
    const found = await ways.find(connector);
    assert.equal(found.length, 1, problems.join('\n'));
    return found[0] as Way;
  };
  const open = (way: Way, heard: StreamHandlers, isLast = true, target = '/'): TunnelStream => {
    const stream = way.open({ ...HEAD, target }, heard, isLast);
    assert.ok(stream !== undefined);
    return stream;
  };

  test('a request goes over the node that holds the connector, and says for which one it is', async () => {
    const node = await start();
    const way = await findOne();
    assert.equal(way.label, 'b');
    assert.equal(way.table, undefined);
    assert.equal(way.inFlight, 0);
    const heard = listen();
    const stream = open(way, heard, false);
    assert.equal(way.inFlight, 1);
    stream.write(Buffer.from('to and fro'));
    stream.end();
    await until(() => heard.events.includes('end'), 'the answer is whole');
    assert.deepEqual(heard.events, ['200', 'end']);
    assert.equal(heard.body(), 'to and fro');
    assert.equal(way.inFlight, 0);
    assert.deepEqual(node.heads, [{ ...HEAD, connector: 'cn-1' }]);
    assert.match(node.peers[0] ?? '', /URI:urn:countersign:gateway:self/);
  });

  test('what came from a node already goes to no other one', async () => {
    const node = await start();
    const way = await findOne();
    assert.equal(way.open({ ...HEAD, connector: 'cn-1' }, listen(), true), undefined);
    const heard = listen();
    open(way, heard);
    await until(() => heard.events.includes('end'), 'the answer is whole');
    assert.equal(node.heads.length, 1);
  });

  test('a connector that nobody holds has no way; the store is asked once for all who look for it', async () => {
    await start();
    await findOne();
    presence.calls.length = 0;
    nowMs += 1_000;
    const found = await Promise.all(Array.from({ length: 20 }, () => ways.find('cn-2')));
    assert.ok(found.every((one) => one.length === 0));
    assert.deepEqual(presence.calls, ['list gateway:']);
  });

  test('a store that is away is no way, and no failure', async () => {
    presence.isAway = true;
    assert.deepEqual(await ways.find('cn-1'), []);
    assert.equal(problems.length, 1);
  });

  test('many that look for it at once dial once', async () => {
    const node = await start();
    const found = await Promise.all(Array.from({ length: 20 }, () => ways.find('cn-1')));
    assert.ok(found.every((one) => one.length === 1));
    assert.equal(node.sockets.length, 1);
  });

  test('all nodes that hold it are ways; one that is not reached delays none', async () => {
    await start();
    await start({}, 'c', await authority.sign(toNames('c')));
    await start({ isSilent: true }, 'd', await authority.sign(toNames('d')));
    await ways.find('cn-1');
    await until(async () => (await ways.find('cn-1')).length === 2, 'both are reached');
    const atMs = performance.now();
    assert.deepEqual((await ways.find('cn-1')).map(({ label }) => label).toSorted(), ['b', 'c']);
    assert.ok(performance.now() - atMs < LINK_WAIT_MS / 2);
  });

  /** What must not pass for the node `b`. */
  const STRANGERS: Readonly<Record<string, () => Promise<{ shown: NodeIdentity; tls?: FakeNodeTraits['tls'] }>>> = {
    'another node': async () => ({ shown: await authority.sign(toNames('b2')) }),
    'a node with a longer name': async () => ({ shown: await authority.sign(toNames('x:b')) }),
    'an agent': async () => ({ shown: await authority.sign('URI=urn:countersign:connector:b') }),
    'a DNS name that looks like it': async () => ({
      shown: await authority.sign('DNS="x, URI:urn:countersign:gateway:b, y"'),
    }),
    'no name at all': async () => ({ shown: await authority.sign('IP=127.0.0.1') }),
    'a foreign authority': async () => {
      const foreign = await createNodeAuthority(await startOpenssl({ after: (end) => void ends.push(end) }));
      return { shown: await foreign.sign(toNames('b')) };
    },
    'another protocol': async () => ({ shown: theirs, tls: { ALPNProtocols: ['h2'] } }),
    'no protocol': async () => ({ shown: theirs, tls: { ALPNProtocols: [] } }),
    'an older TLS': async () => ({ shown: theirs, tls: { maxVersion: 'TLSv1.2' } }),
  };
  for (const [name, make] of Object.entries(STRANGERS)) {
    test(`the other end is not taken for the node: ${name}`, async () => {
      const { shown, tls = {} } = await make();
      await start({ tls }, 'b', shown);
      assert.deepEqual(await ways.find('cn-1'), []);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', /^the gateway b at .+ is not reached: /);
    });
  }

  test('a node that takes the connection and says nothing: the request waits for so long, and no longer', async () => {
    await start({ isSilent: true });
    const atMs = performance.now();
    assert.deepEqual(await ways.find('cn-1'), []);
    const tookMs = performance.now() - atMs;
    assert.ok(tookMs >= LINK_WAIT_MS - 50 && tookMs < LINK_WAIT_MS + 1_000, `${tookMs} ms`);
  });

  test('a node that is not reached is not dialled again for a while, for longer each time, and then found', async () => {
    const server = createServer((socket) => void dials.push(socket.destroy())).listen(0, '127.0.0.1');
    const dials: unknown[] = [];
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      await announce('b', `127.0.0.1:${port}`);
      assert.deepEqual(await ways.find('cn-1'), []);
      for (const [index, factor] of [1, 2, 4, 8].entries()) {
        nowMs += factor * REDIAL_AFTER_MS - 1;
        assert.deepEqual(await ways.find('cn-1'), []);
        assert.equal(dials.length, index + 1, `too early after ${index + 1}`);
        nowMs += 1;
        assert.deepEqual(await ways.find('cn-1'), []);
        assert.equal(dials.length, index + 2);
      }
      assert.equal(problems.length, 1, 'one line an outage');
      for (let count = 0; count < 10; count++) {
        nowMs += REDIAL_CAP_MS;
        await directory.refresh();
        await ways.find('cn-1');
      }
      assert.equal(dials.length, 15, 'never a longer pause than the cap');
    } finally {
      server.close();
    }
    const node = await startFakeNode('b', theirs, { port });
    nodes.push(node);
    assert.deepEqual(await ways.find('cn-1'), [], 'too early');
    nowMs += REDIAL_CAP_MS;
    await findOne();
  });

  test('a connection that is lost cuts what is on it, and is dialled again by the next request', async () => {
    const node = await start();
    const way = await findOne();
    const heard = listen();
    open(way, heard, true, '/hold');
    await until(() => node.held.length === 1, 'the request is there');
    node.sockets[0]?.destroy();
    await until(() => heard.events.length > 0, 'it is cut');
    assert.deepEqual(heard.events, ['reset lost']);
    assert.equal(way.open(HEAD, listen(), true), undefined);
    const again = listen();
    open(await findOne(), again);
    await until(() => again.events.includes('end'), 'the answer is whole');
    assert.equal(node.sockets.length, 2);
  });

  test('a node that leaves gets nothing new, and finishes what it has', async () => {
    const node = await start();
    const heard = listen();
    open(await findOne(), heard, true, '/hold');
    await until(() => node.held.length === 1, 'the request is there');
    node.connections[0]?.drain(10_000, 60_000);
    await until(async () => (await ways.find('cn-1')).length === 0, 'it is no way any more');
    node.held[0]?.respond({ status: 204, reason: '', fields: [] }, true);
    await until(() => heard.events.includes('end'), 'the answer is whole');
    assert.equal(node.sockets.length, 1);
  });

  test('without the store, and without a record, a connection that is open is still a way', async () => {
    const node = await start();
    await findOne();
    presence.bodies.clear();
    nowMs += 1_000;
    await directory.refresh();
    await findOne();
    presence.isAway = true;
    nowMs += REDIAL_CAP_MS;
    await findOne();
    node.sockets[0]?.destroy();
    await until(async () => (await ways.find('cn-1')).length === 0, 'it is no way any more');
    assert.equal(node.sockets.length, 1, 'an unconfirmed node is not dialled');
  });

  test('a connection that nobody used for long is closed; one in use, and one just used, are not', async () => {
    const node = await start();
    const heard = listen();
    open(await findOne(), heard, true, '/hold');
    await until(() => node.held.length === 1, 'the request is there');
    nowMs += LINK_IDLE_MS + 1;
    await lookOver();
    node.held[0]?.respond({ status: 204, reason: '', fields: [] }, true);
    await until(() => heard.events.includes('end'), 'the answer is whole');
    open(await findOne(), listen());
    nowMs += LINK_IDLE_MS;
    await lookOver();
    await findOne();
    assert.equal(node.sockets.length, 1);
    nowMs += 1;
    await lookOver();
    await until(() => node.sockets[0]?.destroyed === true, 'it is closed');
    await findOne();
    assert.equal(node.sockets.length, 2);
  });

  test('the connection to a node that is gone for good is closed when the last request on it is finished', async () => {
    const node = await start();
    const way = await findOne();
    const heard = listen();
    open(way, heard, true, '/hold');
    await until(() => node.held.length === 1, 'the request is there');
    presence.bodies.clear();
    nowMs += NODE_EXPIRES_MS + 1;
    await lookOver();
    await lookOver();
    assert.deepEqual(await ways.find('cn-1'), []);
    assert.equal(way.open(HEAD, listen(), true), undefined);
    node.held[0]?.respond({ status: 204, reason: '', fields: [] }, true);
    await until(() => node.sockets[0]?.destroyed === true, 'it is closed');
    assert.deepEqual(heard.events, ['204', 'end']);
    assert.deepEqual(problems, []);
  });

  test('where half of the streams are taken a further connection is dialled', async () => {
    const node = await start();
    const way = await findOne();
    for (let count = 0; count <= MAX_STREAMS / 2; count++) open(way, listen(), true, '/hold');
    await until(() => node.connections[1]?.isOpen === true, 'there is a second connection');
    await until(() => node.held.length === MAX_STREAMS / 2 + 1, 'all are there');
    await until(() => {
      open(way, listen(), true, '/hold');
      return (node.connections[1]?.streamCount ?? 0) > 0;
    }, 'the new one is used');
    await until(() => node.held.length === way.inFlight, 'all are there');
    assert.equal(node.sockets.length, 2);
  });

  test('a new certificate of ours is shown at the next dial', async () => {
    identity = await authority.sign(toNames('renewed'));
    const node = await start();
    await findOne();
    assert.match(node.peers[0] ?? '', /gateway:renewed/);
  });

  test('the end closes what is open, and what is being dialled', async () => {
    const node = await start();
    const heard = listen();
    open(await findOne(), heard, true, '/hold');
    await until(() => node.held.length === 1, 'the request is there');
    const silent = await start({ isSilent: true }, 'c', await authority.sign(toNames('c')));
    await directory.refresh();
    await ways.find('cn-1');
    await until(() => silent.sockets.length === 1, 'it is dialled');
    const atMs = performance.now();
    ways.close();
    await until(() => node.sockets.concat(silent.sockets).every(({ destroyed }) => destroyed), 'all are closed');
    assert.ok(performance.now() - atMs < DIAL_TIMEOUT_MS - LINK_WAIT_MS);
    assert.deepEqual(heard.events, ['reset lost']);
    assert.deepEqual(await ways.find('cn-1'), []);
  });
});
