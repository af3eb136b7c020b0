import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';

import { systemClock } from '../../src/core/clock.ts';
import { createConnectorCaller } from '../../src/gateway/call-connector.ts';
import { authenticateCaller } from '../../src/gateway/caller-credential.ts';
import { createCallerFront } from '../../src/gateway/caller-front.ts';
import { createCallerDirectory } from '../../src/gateway/caller-registry.ts';
import { createCallerShares } from '../../src/gateway/caller-shares.ts';
import { createConnectorDirectory } from '../../src/gateway/connector-directory.ts';
import { Agent, createRoster } from '../../src/gateway/roster.ts';
import { createServiceCallRoutes } from '../../src/gateway/routes/service-calls.ts';
import { parseHostRules } from '../../src/gateway/service-calls/host-rules.ts';
import { loadServiceIdentities } from '../../src/gateway/service-calls/identities.ts';
import { MAX_ANSWER_BYTES } from '../../src/gateway/service-calls/limits.ts';
import { createCallPlaces } from '../../src/gateway/service-calls/places.ts';
import { createServiceCalls } from '../../src/gateway/service-calls/service-calls.ts';
import { createLogger } from '../../src/http/access-log.ts';
import type { AccessRule } from '../../src/tunnel/access.ts';
import type { ResetCode } from '../../src/tunnel/codes.ts';
import type { TunnelConnection } from '../../src/tunnel/messages.ts';
import { MAX_CALLER_HEADER_BYTES } from '../../src/cli/start-gateway.ts';
import type { CertificateAuthority, Issued } from '../support/certificate-authority.ts';
import { startChild, waitUntilReady } from '../support/child.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import type { IdproxyUnderTest } from '../support/idproxy-under-test.ts';
import { getFreePort } from '../support/processes.ts';
import { toHello } from '../support/tunnel-pair.ts';
import { FrameError } from '../../src/tunnel/frames.ts';
import { MAX_HEAD_BYTES } from '../../src/tunnel/limits.ts';
import { createFakeWay } from '../unit/gateway/fake-way.ts';
import { startApp } from '../unit/http/app-under-test.ts';
import { type Certificates, startService } from './service-calls-under-test.ts';

/** Applications behind the connector, by what they do. */
const CUTS: Readonly<Record<string, ResetCode>> = {
  unreachable: 'unreachable',
  failing: 'backend_failed',
  late: 'timed_out',
  lost: 'lost',
};
const PORT = 8080;

/** Where service calls of a test may go. */
export interface Services {
  /** Answers `/`, is too long at `/large`, breaks off at `/broken`, is silent at `/slow`. */
  readonly plain: string;
  /** Asks for a client certificate. */
  readonly mutual: string;
  /** Shows a certificate of nobody's. */
  readonly untrusted: string;
  /** Nobody listens. */
  readonly closed: string;
  readonly hosts: readonly string[];
  /** Resolves when `/slow` was asked for next. */
  waitForSlow(): Promise<void>;
}

export async function startServices(t: TestContext, { ca, stranger, server }: Certificates): Promise<Services> {
  const asked = new EventTarget();
  const plain = await startService(t, { key: server.key, cert: server.cert }, (req, res) => {
    if (req.url === '/slow') asked.dispatchEvent(new Event('slow'));
    else if (req.url === '/broken') req.socket.destroy();
    else res.end(req.url === '/large' ? Buffer.alloc(MAX_ANSWER_BYTES + 1) : 'hello');
  });
  const mutualPort = await startMutual(t, ca, server);
  const other = await stranger.issue({ commonName: 'localhost', names: 'DNS:localhost' });
  const untrusted = await startService(t, { key: other.key, cert: other.cert }, (_req, res) => res.end());
  const ports = [plain.port, mutualPort, untrusted.port, await getFreePort()];
  const [one = '', two = '', three = '', four = ''] = ports.map((port) => `https://localhost:${port}`);
  return {
    plain: one,
    mutual: two,
    untrusted: three,
    closed: four,
    hosts: ports.map((port) => `localhost:${port}`),
    waitForSlow: async () => void (await once(asked, 'slow')),
  };
}

/** OpenSSL says by an alert that it does not know an authority; Node closes without a word. */
async function startMutual(t: TestContext, ca: CertificateAuthority, server: Issued): Promise<number> {
  const port = await getFreePort();
  const ours = ['-cert', server.certFile, '-key', server.keyFile, '-CAfile', ca.certFile];
  const strict = ['-Verify', '3', '-verify_return_error', '-tls1_2', '-www'];
  const args = ['s_server', '-accept', `127.0.0.1:${port}`, ...ours, ...strict];
  const child = await startChild({ command: 'openssl', args, cwd: ca.folder });
  t.after(() => child.kill());
  await waitUntilReady(child, () => Promise.resolve(child.stdout().includes('ACCEPT')), 10_000);
  return port;
}

/** A gateway's port for callers, on the store of an idproxy. */
export interface CallerPort {
  readonly url: string;
  readonly services: Services;
  /** How old the gateway takes what it has in memory for. */
  readonly clock: FakeClock;
  /** May use every connector. */
  readonly token: string;
  /** May use one that has no agent, and one that is disabled. */
  readonly lonelyToken: string;
  readonly disabledToken: string;
  /** The connector with an agent, and the other two. */
  readonly connected: string;
  readonly lonely: string;
  readonly disabled: string;
}

/** Puts the caller port together as `countersign gateway` does, with an agent that is played. */
export async function startCallerPort(
  t: TestContext,
  { admin, store: { documents }, clock: { nowSeconds } }: IdproxyUnderTest,
  certificates: Certificates,
  services: Services,
): Promise<CallerPort> {
  const add = async (path: string, json?: object): Promise<Readonly<Record<string, string>>> => {
    const { status, body } = await admin('POST', path, json as Parameters<typeof admin>[2]);
    assert.ok(status < 300, JSON.stringify(body));
    return body as Readonly<Record<string, string>>;
  };
  const addConnector = async (isEnabled: boolean): Promise<string> => {
    const { id = '' } = await add('/admin/connectors', { company: randomUUID() });
    if (isEnabled) await add(`/admin/connectors/${id}/enable`);
    return id;
  };
  const addCaller = async (connectors?: readonly string[]): Promise<string> =>
    (await add('/admin/callers', { name: 'Bots', ...(connectors && { connectors }) }))['token'] ?? '';
  const [connected, lonely, disabled] = [await addConnector(true), await addConnector(true), await addConnector(false)];
  const [token, lonelyToken, disabledToken] = [
    await addCaller([connected]),
    await addCaller([lonely]),
    await addCaller([disabled]),
  ];

  const clock = createFakeClock(nowSeconds());
  const known = { documents, clock, onProblem: () => undefined };
  const [directory, callers] = [createConnectorDirectory(known), createCallerDirectory(known)];
  const logger = createLogger('silent');
  const roster = createRoster(() => undefined);
  const agent = new Agent({
    connectorId: connected,
    serial: '1',
    expiresAt: Infinity,
    hello: toHello('agent', {}),
    connectedAt: 0,
    connection: createPlayedConnection(),
  });
  roster.add(agent);
  roster.setTable(agent, ['app', 'faulty', ...Object.keys(CUTS)].map(toRule));
  const ways = { directory, roster, remote: { find: () => Promise.resolve([]) }, shares: createCallerShares(10) };
  const identities = await loadServiceIdentities(certificates.named, { clock: systemClock, logger });
  t.after(() => {
    identities.close();
    directory.close();
    callers.close();
  });
  const calls = createServiceCalls({
    rules: parseHostRules(services.hosts),
    identities,
    logger,
    lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
    plainContext: createSecureContext({ ca: certificates.ca.cert }),
    limits: { answerMs: 2_000 },
    ...createConnectorCaller(ways),
  });
  const front = createCallerFront({ ...ways, callers, logger, countRelayed: () => undefined });
  const checks = { store: () => Promise.resolve(undefined) };
  const { url } = await startApp(
    t,
    (app) =>
      app.use([
        ...createServiceCallRoutes({
          calls,
          authenticate: (req) => authenticateCaller(req, 'authorization', callers),
          places: createCallPlaces(8, 1),
        }),
      ]),
    { logger, name: 'gateway', checks },
    {
      maxHeaderBytes: MAX_CALLER_HEADER_BYTES,
      takeRequest: front.takeRequest,
      onUpgrade: front.takeUpgrade,
      onConnect: front.refuseConnect,
    },
  );
  return { url, services, clock, token, lonelyToken, disabledToken, connected, lonely, disabled };
}

const toRule = (name: string): AccessRule => ({
  host: `${name}.virtual`,
  port: PORT,
  name,
  allowedPaths: ['/api/*'],
  upgrade: false,
  allowEncodedSlash: false,
});

/** An agent whose applications do what their names say. */
function createPlayedConnection(): TunnelConnection {
  const way = createFakeWay('played');
  const open: TunnelConnection['open'] = (head, handlers, isLast) => {
    const name = 'host' in head.to ? (head.to.host.split('.')[0] ?? '') : '';
    if (name === 'faulty') throw new Error('nobody foresaw this');
    // As a connection says it.
    if (JSON.stringify(head).length > MAX_HEAD_BYTES) throw new FrameError('limit', 'too large');
    const cut = CUTS[name];
    queueMicrotask(() => {
      if (cut !== undefined) return handlers.onReset(cut);
      handlers.onResponse?.({ status: 200, reason: 'OK', fields: [] });
      handlers.onData(Buffer.from('from inside'));
      handlers.onEnd([]);
    });
    return way.open(head, handlers, isLast);
  };
  return { streamCount: 0, open } as Partial<TunnelConnection> as TunnelConnection;
}
