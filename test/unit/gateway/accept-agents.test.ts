import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';

import { pino } from 'pino';

import { type AgentPort, acceptAgents } from '../../../src/gateway/accept-agents.ts';
import { type AcceptDeps, admitAgent, MAX_AGENTS_PER_CONNECTOR, MAX_TABLES } from '../../../src/gateway/admit-peers.ts';
import type { ConnectorDirectory } from '../../../src/gateway/connector-directory.ts';
import type { Connector } from '../../../src/gateway/connector.ts';
import { type Agent, createRoster, type Roster } from '../../../src/gateway/roster.ts';
import { createConnection } from '../../../src/tunnel/connection.ts';
import { PROTOCOL } from '../../../src/tunnel/limits.ts';
import type { Closed, TunnelConnection } from '../../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../../src/tunnel/receive-window.ts';
import { toTableJson } from '../../../src/tunnel/table.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type Issued,
} from '../../support/certificate-authority.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createSocketPair, toHello } from '../../support/tunnel-pair.ts';
import { CRM } from './fake-way.ts';

const CONNECTOR = 'cn-1';
const TABLE = toTableJson([CRM]);
const NOW = Math.floor(Date.now() / 1_000);

interface Dialled {
  readonly connection: TunnelConnection;
  readonly closed: Promise<Closed>;
}

describe('the agent port', { timeout: 60_000 }, () => {
  let ca: CertificateAuthority;
  let agentKey: Issued;
  let roster: Roster;
  let port: AgentPort;
  let deps: AcceptDeps;
  let isRevoked = false;
  let onChange: () => void = () => undefined;

  before(async () => {
    ca = await createCertificateAuthority('ours');
    const gateway = await ca.issue({ commonName: 'gw', names: 'DNS:localhost,URI:urn:countersign:gateway:gw-1' });
    agentKey = await ca.issue({ commonName: CONNECTOR, names: `URI:urn:countersign:connector:${CONNECTOR}` });
    roster = createRoster(() => undefined);
    const directory: ConnectorDirectory = {
      findConnector: (id) => ({ id, enabled: true }) as Connector,
      listEnabled: () => [CONNECTOR],
      authorize: async (id) => ({ id, enabled: true }) as Connector,
      isAuthorized: () => !isRevoked,
      refreshOnMiss: async () => undefined,
      onChange: (listener) => {
        onChange = listener;
        return () => undefined;
      },
      close: () => undefined,
    };
    deps = {
      identity: { key: gateway.key, cert: gateway.cert, ca: ca.cert },
      host: '127.0.0.1',
      port: 0,
      hello: toHello('gw-1', { node: 'gw-1' }),
      directory,
      roster,
      budget: createBufferBudget(),
      clock: createFakeClock(NOW),
      logger: pino({ level: 'silent' }),
      onService: () => undefined,
      onNodeStream: () => undefined,
    };
    port = await acceptAgents(deps);
  });
  after(async () => {
    await port.close();
    await ca.remove();
  });

  /** An agent that takes streams and leaves them open. */
  const dial = async (instance: string): Promise<Dialled> => {
    const socket = connect({
      port: port.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: ca.cert,
      key: agentKey.key,
      cert: agentKey.cert,
      ALPNProtocols: [PROTOCOL],
    });
    await once(socket, 'secureConnect');
    let onClosed: (closed: Closed) => void = () => undefined;
    const closed = new Promise<Closed>((resolve) => {
      onClosed = resolve;
    });
    return new Promise((resolve) => {
      const connection: TunnelConnection = createConnection({
        role: 'agent',
        socket,
        budget: createBufferBudget(),
        handlers: {
          onHello: () => resolve({ connection, closed }),
          onStream: () => ({ onData: () => undefined, onEnd: () => undefined, onReset: () => undefined }),
          onClose: onClosed,
        },
      });
      connection.welcome(toHello(CONNECTOR, { instance }));
    });
  };
  const waitFor = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('cuts a connection that is leaving already when its certificate is revoked', async () => {
    const first = await dial('a');
    await waitFor(() => roster.all().length === 1);
    const [agent] = roster.all();
    agent?.open(
      { to: { host: 'a', port: 80 }, method: 'GET', target: '/', fields: [] },
      { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined },
      true,
    );
    // The same instance again: the former connection is drained, and what runs on it goes on.
    const second = await dial('a');
    await waitFor(() => roster.all()[0] !== agent);
    assert.equal(agent?.connection.streamCount, 1, 'a request still runs on it');
    isRevoked = true;
    onChange();
    assert.equal((await first.closed).code, 'unauthorized');
    assert.equal((await second.closed).code, 'unauthorized');
    isRevoked = false;
  });

  it(`closes a connection that sends more than ${MAX_TABLES} tables in a short time`, async () => {
    const { connection, closed } = await dial('tables');
    for (let count = 0; count < MAX_TABLES; count++) connection.sendTable(TABLE);
    await waitFor(() => roster.findByConnector(CONNECTOR).length === 1);
    connection.sendTable(TABLE);
    const { code, detail } = await closed;
    assert.deepEqual([code, detail], ['limit', 'too many tables']);
  });

  it(`takes ${MAX_AGENTS_PER_CONNECTOR} agents of one connector, those that are leaving included, and not one more`, async () => {
    const toAgent = (id: string): Agent => ({ connectorId: id }) as Agent;
    const live = new Set(Array.from({ length: MAX_AGENTS_PER_CONNECTOR - 1 }, () => toAgent(CONNECTOR)));
    live.add(toAgent('cn-2'));
    const identity = { kind: 'connector', id: CONNECTOR, serial: '01', expiresAt: NOW + 1_000 } as const;
    const say = async (instance: string): Promise<string> => {
      const [taken, dialled] = await createSocketPair();
      admitAgent(deps, live, taken as TLSSocket, identity);
      return new Promise((resolve) => {
        const connection: TunnelConnection = createConnection({
          role: 'agent',
          socket: dialled,
          budget: createBufferBudget(),
          handlers: {
            onHello: () => resolve('connected'),
            onStream: () => undefined,
            onClose: ({ code, detail }) => resolve(`${code}: ${detail}`),
          },
        });
        connection.welcome(toHello(CONNECTOR, { instance }));
      });
    };
    assert.equal(await say('last'), 'connected');
    assert.equal(await say('too many'), 'limit: too many agents of this connector');
    for (const agent of live) agent.connection?.close('drain', 'the test is over');
  });
});
