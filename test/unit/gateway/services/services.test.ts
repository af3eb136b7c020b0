import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { askService, type ServiceReply, type ServiceRequest } from '../../../../src/connector/service-call.ts';
import { AppError } from '../../../../src/core/errors.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { signWebhook, toSigningKey } from '../../../../src/core/webhook-signature.ts';
import type { Agent } from '../../../../src/gateway/roster.ts';
import { MAX_ARRIVING_PER_CONNECTOR } from '../../../../src/gateway/services/arriving-bodies.ts';
import { createServices } from '../../../../src/gateway/services/create-services.ts';
import { MAX_SERVICE_CALLS, MAX_SERVICE_CALLS_PER_CONNECTOR } from '../../../../src/gateway/services/places.ts';
import { createRenewalService } from '../../../../src/gateway/services/renewal.ts';
import type { Service } from '../../../../src/gateway/services/service.ts';
import { createWebhookService, type WebhookDeps } from '../../../../src/gateway/services/webhooks.ts';
import { createConnection } from '../../../../src/tunnel/connection.ts';
import type { RequestHead, TunnelConnection } from '../../../../src/tunnel/messages.ts';
import { createBufferBudget } from '../../../../src/tunnel/receive-window.ts';
import { MAX_WEBHOOK_BYTES, RENEWAL_PATH, toWebhookPath } from '../../../../src/tunnel/services.ts';
import { waitUntil } from '../../../support/connector-chain.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { createSocketPair, openCall, toHello, type TunnelCall } from '../../../support/tunnel-pair.ts';
import { KEYS, startOpenssl } from '../openssl.ts';
import { NOW, startRegistries } from '../registries-under-test.ts';

const SECRET = new Secret('a secret that signs webhooks, 32 bytes');
const silent = { info: () => undefined, warn: () => undefined };

/** An agent's end of a tunnel whose gateway serves these. */
async function startTunnel(
  t: TestContext,
  services: { readonly webhook?: Service; readonly renewal?: Service },
  agent: Pick<Agent, 'connectorId' | 'serial'>,
  timeoutMs?: number,
): Promise<TunnelConnection> {
  const nothing: Service = { maxBytes: 0, serve: () => Promise.reject(new AppError('not_found')) };
  const take = createServices({ webhook: nothing, renewal: nothing, ...services }, silent, timeoutMs);
  return connect(t, take, agent);
}

/** An agent's end of a tunnel to a gateway that serves several. */
async function connect(
  t: TestContext,
  take: ReturnType<typeof createServices>,
  agent: Pick<Agent, 'connectorId' | 'serial'>,
  budget = createBufferBudget(),
): Promise<TunnelConnection> {
  const [one, other] = await createSocketPair();
  const gateway = createConnection({
    role: 'gateway',
    socket: one,
    budget,
    handlers: {
      onHello: () => gateway.welcome(toHello('gw')),
      onStream: (stream, head, isLast) => take(stream, head, isLast, agent as Agent),
      onClose: () => undefined,
    },
  });
  const opened = new Promise<TunnelConnection>((resolve) => {
    const tunnel = createConnection({
      role: 'agent',
      socket: other,
      budget: createBufferBudget(),
      handlers: { onHello: () => resolve(tunnel), onStream: () => undefined, onClose: () => undefined },
    });
    tunnel.welcome(toHello('cn-1'));
  });
  t.after(() => gateway.close('drain', 'the test is over'));
  return opened;
}

/** Begins a body and does not end it. */
const send = ({ stream }: TunnelCall, bytes = 30_000): void => void stream.write(Buffer.alloc(bytes));

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A target that a test answers for. */
async function startTarget(t: TestContext, respond: (res: ServerResponse, req: IncomingMessage) => void) {
  const received: Received[] = [];
  const server = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part: Buffer) => parts.push(part));
    req.on('end', () => {
      received.push({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(parts) });
      respond(res, req);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in?credential=x` };
}

async function startWebhookTunnel(t: TestContext, url: string, changes: Partial<WebhookDeps> = {}) {
  let isEnabled = true;
  const tunnel = await startTunnel(
    t,
    {
      webhook: createWebhookService({
        targets: [{ name: 'alerts', url }],
        secret: SECRET,
        directory: { findConnector: (id) => ({ id, enabled: isEnabled }) as never },
        fetch,
        clock: createFakeClock(NOW),
        logger: silent,
        ...changes,
      }),
    },
    { connectorId: 'cn-1', serial: '01' },
  );
  const ask = (request: Partial<ServiceRequest> = {}): Promise<ServiceReply | undefined> =>
    askService(tunnel, {
      service: 'webhook',
      target: toWebhookPath('alerts'),
      fields: [
        'webhook-id',
        'msg_1',
        'content-type',
        'application/json',
        'cookie',
        'a=b',
        'x-connector-id',
        'cn-other',
      ],
      body: Buffer.from('{"a":1}'),
      ...request,
    });
  return { tunnel, ask, setEnabled: (next: boolean) => (isEnabled = next) };
}

const toErrorOf = (reply: ServiceReply | undefined): [number | undefined, string | undefined] => [reply?.status, reply?.connectorError]; // prettier-ignore

describe('webhooks at the gateway', () => {
  it('are delivered, signed, with the id of the connector and no field of another kind', async (t) => {
    const { received, url } = await startTarget(t, (res) => res.writeHead(204).end());
    const { ask } = await startWebhookTunnel(t, url);
    assert.deepEqual(await ask(), { status: 204, fields: [], body: '' });
    const [{ method, url: path, headers, body } = {} as Received] = received;
    assert.deepEqual([method, path, String(body)], ['POST', '/in?credential=x', '{"a":1}']);
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
    assert.deepEqual(
      { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature },
      signWebhook(toSigningKey(SECRET), 'msg_1', NOW, '{"a":1}'),
    );
    assert.deepEqual([headers['x-connector-id'], headers['content-type'], headers.cookie], ['cn-1', 'application/json', undefined]); // prettier-ignore
  });

  it('are named by their URL as well, and are delivered whole: the largest and the empty one', async (t) => {
    const { received, url } = await startTarget(t, (res) => res.end('thanks'));
    const { ask } = await startWebhookTunnel(t, url);
    for (const body of [Buffer.alloc(MAX_WEBHOOK_BYTES, 9), Buffer.alloc(0)]) {
      assert.equal((await ask({ target: toWebhookPath(url), body }))?.status, 200);
      assert.ok(received.at(-1)?.body.equals(body));
    }
  });

  const answers: Record<string, [status: number, told: number, error?: string]> = {
    '200': [200, 200],
    '202': [202, 202],
    '400': [400, 400],
    '404': [404, 404],
    '410': [410, 410],
    '429': [429, 429],
    '301, which is not followed': [301, 502, 'service_failed'],
    '307, which is not followed': [307, 502, 'service_failed'],
    '500': [500, 502, 'service_failed'],
    '503': [503, 502, 'service_failed'],
  };
  for (const [what, [status, told, error]] of Object.entries(answers)) {
    it(`tell the agent ${told} of a target that answers ${what}`, async (t) => {
      const { received, url } = await startTarget(t, (res, req) =>
        res.writeHead(req.url === '/elsewhere' ? 200 : status, { location: '/elsewhere', 'retry-after': '7' }).end(),
      );
      const { ask } = await startWebhookTunnel(t, url);
      const reply = await ask();
      assert.deepEqual(toErrorOf(reply), [told, error]);
      assert.equal(received.length, 1);
      if (status === 429) assert.deepEqual(reply?.fields, ['Retry-After', '7']);
    });
  }

  it('tell of a target that is not there, and of one that is too slow', async (t) => {
    const { url, received } = await startTarget(t, () => undefined);
    const { ask } = await startWebhookTunnel(t, 'http://127.0.0.1:9/');
    assert.deepEqual(toErrorOf(await ask()), [502, 'service_unreachable']);
    const slow = await startWebhookTunnel(t, url, { timeoutMs: 30 });
    assert.deepEqual(toErrorOf(await slow.ask()), [504, 'service_timeout']);
    assert.equal(received.length, 1);
  });

  it('a credential in the URL of a target is in no answer', async (t) => {
    const { ask } = await startWebhookTunnel(t, 'http://127.0.0.1:9/?credential=x');
    assert.ok(!JSON.stringify(await ask()).includes('credential'));
  });

  const refused: Record<string, [request: Partial<ServiceRequest>, status: number, error: string]> = {
    'a target that is not on the list': [{ target: toWebhookPath('other') }, 403, 'service_url_forbidden'],
    'a URL that is not on the list': [{ target: toWebhookPath('http://127.0.0.1/') }, 403, 'service_url_forbidden'],
    'a name that every object has': [{ target: toWebhookPath('constructor') }, 403, 'service_url_forbidden'],
    'another path': [{ target: '/' }, 403, 'service_url_forbidden'],
    'a path that cannot be decoded': [{ target: '/webhooks/%zz' }, 403, 'service_url_forbidden'],
    'no id': [{ fields: [] }, 400, 'invalid_request'],
    'an id with a full stop': [{ fields: ['webhook-id', 'msg.1'] }, 400, 'invalid_request'],
    'too many fields': [{ fields: ['webhook-id', 'a', ...Array.from({ length: 33 }, (_, n) => [`ce-a${n}`, 'x']).flat()] }, 400, 'invalid_request'], // prettier-ignore
    'a body that is too large': [{ body: Buffer.alloc(MAX_WEBHOOK_BYTES + 1) }, 413, 'body_too_large'],
  };
  for (const [what, [request, status, error]] of Object.entries(refused)) {
    it(`refuse ${what}`, async (t) => {
      const { received, url } = await startTarget(t, (res) => res.end());
      const { ask } = await startWebhookTunnel(t, url);
      assert.deepEqual(toErrorOf(await ask(request)), [status, error]);
      assert.equal(received.length, 0);
      // The tunnel and its places are whole.
      assert.equal((await ask())?.status, 200);
    });
  }

  it('wait until the connector is enabled', async (t) => {
    const { received, url } = await startTarget(t, (res) => res.end());
    const { ask, setEnabled } = await startWebhookTunnel(t, url);
    setEnabled(false);
    assert.deepEqual(toErrorOf(await ask()), [409, 'connector_not_enabled']);
    assert.equal(received.length, 0);
    setEnabled(true);
    assert.equal((await ask())?.status, 200);
  });

  it('have so many places for one connector, and the next ones find them again', async (t) => {
    const waiting: ServerResponse[] = [];
    const { url } = await startTarget(t, (res) => void waiting.push(res));
    const { ask } = await startWebhookTunnel(t, url);
    const all = Array.from({ length: MAX_SERVICE_CALLS_PER_CONNECTOR }, () => ask());
    await waitUntil('all places are taken', () => waiting.length === MAX_SERVICE_CALLS_PER_CONNECTOR);
    assert.deepEqual(toErrorOf(await ask()), [503, 'busy']);
    waiting.splice(0).forEach((res) => res.end());
    assert.ok((await Promise.all(all)).every((reply) => reply?.status === 200));
    const next = ask();
    await waitUntil('it has come', () => waiting.length === 1);
    waiting[0]?.end();
    assert.equal((await next)?.status, 200);
  });

  it('an agent that does not wait any more ends the call, and frees its place', async (t) => {
    let aborted = 0;
    const { url, received } = await startTarget(t, (res) => res.once('close', () => aborted++));
    const { tunnel } = await startWebhookTunnel(t, url);
    const head = { to: { service: 'webhook' }, method: 'POST', target: toWebhookPath('alerts'), fields: ['webhook-id', 'a'] } as const; // prettier-ignore
    for (let round = 1; round <= 2; round++) {
      const calls = Array.from({ length: MAX_SERVICE_CALLS_PER_CONNECTOR }, () => openCall(tunnel, head, true));
      await waitUntil('all have come', () => received.length === round * MAX_SERVICE_CALLS_PER_CONNECTOR);
      calls.forEach(({ stream }) => stream.reset('cancelled'));
      await waitUntil('all have ended', () => aborted === received.length);
    }
  });
});

describe('the services of a gateway', () => {
  const agent = { connectorId: 'cn-1', serial: '01' };
  const strange: Record<string, object> = {
    'an application': { to: { host: 'crm.virtual', port: 80 } },
    'another method': { method: 'GET' },
    'an upgrade': { upgrade: 'websocket' },
  };
  for (const [what, changes] of Object.entries(strange)) {
    it(`are not ${what}`, async (t) => {
      const tunnel = await startTunnel(t, {}, agent);
      const head = { to: { service: 'webhook' }, method: 'POST', target: '/', fields: [], ...changes } as const;
      const { head: answered } = await openCall(tunnel, head, true).answer;
      assert.deepEqual([answered?.status, answered?.connectorError], [404, 'not_found']);
    });
  }

  it('a body that does not come ends in time', async (t) => {
    const service: Service = { maxBytes: 10, serve: () => Promise.reject(new Error('begun')) };
    const tunnel = await startTunnel(t, { webhook: service }, agent, 30);
    const head = { to: { service: 'webhook' }, method: 'POST', target: '/', fields: [] } as const;
    const { head: answered } = await openCall(tunnel, head, false).answer;
    assert.deepEqual([answered?.status, answered?.connectorError], [504, 'service_timeout']);
  });

  const WEBHOOK = { to: { service: 'webhook' }, method: 'POST', target: '/', fields: [] } as const;
  const RENEWAL = { ...WEBHOOK, to: { service: 'renewal' } } as const;
  const done: Service = {
    maxBytes: MAX_WEBHOOK_BYTES,
    serve: () => Promise.resolve({ status: 200, fields: [], body: '' }),
  };
  const isDone = async (tunnel: TunnelConnection, head: RequestHead): Promise<number | undefined> =>
    (await openCall(tunnel, head, true).answer).head?.status;

  const endless: Record<string, (tunnel: TunnelConnection) => void> = {
    'that is no service': (tunnel) => send(openCall(tunnel, { ...WEBHOOK, method: 'GET' }, false)),
    'that is too large': (tunnel) => send(openCall(tunnel, RENEWAL, false)),
  };
  for (const [what, begin] of Object.entries(endless)) {
    it(`hold nothing of a request without end ${what}, and cut it`, async (t) => {
      const budget = createBufferBudget();
      const tunnel = await connect(
        t,
        createServices({ webhook: done, renewal: { ...done, maxBytes: 1_000 } }, silent),
        agent,
        budget,
      );
      for (let at = 0; at < 50; at++) begin(tunnel);
      await waitUntil('all are cut', () => tunnel.streamCount === 0);
      assert.equal(await isDone(tunnel, WEBHOOK), 200);
      assert.deepEqual([budget.bufferedBytes, budget.holders.size], [0, 0]);
    });
  }

  it('are not kept from others, nor from its own renewal, by connectors whose bodies never end', async (t) => {
    const take = createServices({ webhook: done, renewal: done }, silent);
    const hostile = await Promise.all(
      Array.from({ length: 6 }, (_, at) => connect(t, take, { connectorId: `cn-evil-${at}`, serial: '01' })),
    );
    for (const tunnel of hostile) {
      for (let at = 0; at < MAX_SERVICE_CALLS_PER_CONNECTOR * 2; at++) send(openCall(tunnel, WEBHOOK, false), 1_000);
    }
    await waitUntil('the surplus is refused', () =>
      hostile.every(({ streamCount }) => streamCount <= MAX_ARRIVING_PER_CONNECTOR),
    );
    const honest = await connect(t, take, agent);
    assert.deepEqual([await isDone(honest, WEBHOOK), await isDone(honest, RENEWAL)], [200, 200]);
    const [first] = hostile as [TunnelConnection];
    assert.deepEqual([await isDone(first, WEBHOOK), await isDone(first, RENEWAL)], [503, 200]);
  });

  it('renew though all places for webhooks are taken', async (t) => {
    let served = 0;
    const waits: Service = { ...done, serve: () => new Promise(() => served++) };
    const take = createServices({ webhook: waits, renewal: done }, silent);
    const count = MAX_SERVICE_CALLS / MAX_SERVICE_CALLS_PER_CONNECTOR;
    const busy = await Promise.all(
      Array.from({ length: count }, (_, at) => connect(t, take, { connectorId: `cn-${at}`, serial: '01' })),
    );
    for (const tunnel of busy)
      for (let at = 0; at < MAX_SERVICE_CALLS_PER_CONNECTOR; at++) openCall(tunnel, WEBHOOK, true);
    await waitUntil('all places are taken', () => served === MAX_SERVICE_CALLS);
    const other = await connect(t, take, { connectorId: 'cn-other', serial: '01' });
    assert.deepEqual([await isDone(other, WEBHOOK), await isDone(other, RENEWAL)], [503, 200]);
  });

  it('an agent without a gateway asks nobody', async () => {
    const request = { service: 'webhook', target: '/', fields: [], body: Buffer.alloc(0) } as const;
    assert.equal(await askService({ open: () => undefined }, request), undefined);
  });

  it('an agent does not wait for ever', async (t) => {
    const service: Service = { maxBytes: 10, serve: () => new Promise(() => undefined) };
    const tunnel = await startTunnel(t, { webhook: service }, agent);
    const request = { service: 'webhook', target: '/', fields: [], body: Buffer.alloc(0) } as const;
    await assert.rejects(askService(tunnel, request, 30), /in time/);
  });
});

describe('renewal at the gateway', () => {
  it('signs for the connector of the connection, whatever is asked for, and the old certificate stays', async (t) => {
    const { connectors, create } = await startRegistries(t);
    const openssl = await startOpenssl(t);
    const [mine, other] = [await create(), await create({ company: 'other' })];
    const first = await connectors.addCertificate(mine.id, await openssl.request(KEYS['P-256']));
    const renewal = createRenewalService({ connectors, logger: silent });
    const tunnel = await startTunnel(t, { renewal }, { connectorId: mine.id, serial: first.serial });
    const csr = await openssl.request(KEYS['P-256'], '-subj', `/CN=${other.id}`);
    const ask = (changes: Partial<ServiceRequest> = {}) =>
      askService(tunnel, { service: 'renewal', target: RENEWAL_PATH, fields: [], body: Buffer.from(csr), ...changes });

    const reply = await ask();
    assert.equal(reply?.status, 200);
    await openssl.write('new.pem', reply.body);
    await openssl.write('ca.pem', first.ca);
    const shown = await openssl.run('x509', '-in', 'new.pem', '-noout', '-ext', 'subjectAltName');
    assert.ok(shown.includes(`urn:countersign:connector:${mine.id}`) && !shown.includes(other.id));
    assert.match(await openssl.run('verify', '-attime', String(NOW), '-CAfile', 'ca.pem', 'new.pem'), /OK/);
    const { certificates } = await connectors.get(mine.id);
    assert.deepEqual(certificates.map(({ revokedAt }) => revokedAt), [undefined, undefined]); // prettier-ignore

    assert.deepEqual(toErrorOf(await ask({ body: Buffer.from('no request') })), [400, 'invalid_request']);
    assert.deepEqual(toErrorOf(await ask({ body: Buffer.alloc(16_385, 'a') })), [413, 'body_too_large']);
    assert.deepEqual(toErrorOf(await ask({ target: '/other' })), [404, 'not_found']);
    await connectors.revokeCertificate(mine.id, first.serial);
    assert.deepEqual(toErrorOf(await ask()), [401, 'credential_invalid']);
  });
});
