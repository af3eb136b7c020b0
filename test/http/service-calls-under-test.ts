import { createServer, type ServerOptions } from 'node:https';
import type { IncomingMessage, RequestListener } from 'node:http';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { Express } from 'express';

import { systemClock } from '../../src/core/clock.ts';
import { AppError } from '../../src/core/errors.ts';
import { readBearer } from '../../src/http/credentials.ts';
import type { Caller } from '../../src/gateway/connector.ts';
import { createServiceCallRoutes, createServiceIdentityRoutes } from '../../src/gateway/routes/service-calls.ts';
import type { FoundAddress } from '../../src/http/outbound/destination.ts';
import { parseHostRules } from '../../src/gateway/service-calls/host-rules.ts';
import { loadServiceIdentities } from '../../src/gateway/service-calls/identities.ts';
import type { CallPlaces } from '../../src/gateway/service-calls/places.ts';
import { createServiceCalls, type ServiceCallsDeps } from '../../src/gateway/service-calls/service-calls.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type Issued,
} from '../support/certificate-authority.ts';
import { createTempFolder } from '../support/processes.ts';
import { createKeptLog, startApp } from '../unit/http/app-under-test.ts';

export const TOKEN = 'csc_0123456789abcdef';
export const CALLER: Caller = { id: 'ca-1', name: 'bots', tokenHash: '', createdAt: 0 };

/** The authority of services and clients, certificates of both, and another authority that nobody knows. */
export interface Certificates {
  readonly ca: CertificateAuthority;
  readonly stranger: CertificateAuthority;
  readonly intermediate: Issued;
  readonly server: Issued;
  /** Signed by the intermediate. */
  readonly client: Issued;
  readonly strange: Issued;
  /** A folder of identities: `default`, `strange` (another authority's), `blind` (knows no authority of ours). */
  readonly identities: string;
  /** The same without `default`. */
  readonly named: string;
  remove(): Promise<void>;
}

const NAMES = 'DNS:localhost,DNS:service.test,IP:127.0.0.1';

export async function createCertificates(): Promise<Certificates> {
  const [ca, stranger] = await Promise.all([
    createCertificateAuthority('Root'),
    createCertificateAuthority('Stranger'),
  ]);
  const intermediate = await ca.issue({ commonName: 'Intermediate', isAuthority: true });
  const server = await ca.issue({ commonName: 'localhost', names: NAMES });
  const client = await ca.issue({ commonName: 'bots' }, intermediate);
  const strange = await stranger.issue({ commonName: 'strange' });
  const folder = await createTempFolder();
  const write = async (set: string, name: string, files: Readonly<Record<string, string>>): Promise<void> => {
    await mkdir(join(folder, set, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, set, name, file), text);
  };
  const ours = { 'key.pem': client.key, 'cert.pem': client.cert, 'chain.pem': intermediate.cert };
  for (const set of ['all', 'named']) {
    await write(set, 'strange', { 'key.pem': strange.key, 'cert.pem': strange.cert, 'ca.pem': ca.cert });
    await write(set, 'blind', ours);
    if (set === 'all') await write(set, 'default', { ...ours, 'ca.pem': ca.cert });
  }
  const remove = async (): Promise<void> => {
    await Promise.all([ca.remove(), stranger.remove(), rm(folder, { recursive: true, force: true })]);
  };
  return { ca, stranger, intermediate, server, client, strange, identities: join(folder, 'all'), named: join(folder, 'named'), remove }; // prettier-ignore
}

/** What a test changes. */
export interface Changes extends Partial<Omit<ServiceCallsDeps, 'identities' | 'rules' | 'logger'>> {
  readonly identities: string;
  readonly hosts: readonly string[];
  readonly places?: CallPlaces;
}

const toLoopback = (): Promise<readonly FoundAddress[]> => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);

/** An answer of the gateway. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** The parsed body; the members are the test's to know. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The sentence of a failure. */
  readonly msg: string;
}

/** A gateway's port for callers with service calls alone. */
export async function startGateway(t: TestContext, { identities: folder, hosts, places, ...changes }: Changes) {
  const { logger, lines, line } = createKeptLog();
  const identities = await loadServiceIdentities(folder, { clock: systemClock, logger });
  t.after(() => identities.close());
  const calls = createServiceCalls({
    rules: parseHostRules(hosts),
    identities,
    lookup: toLoopback,
    logger,
    hasConnector: () => Promise.resolve(false),
    callConnector: () => Promise.reject(new AppError('connector_unavailable')),
    ...changes,
  });
  const authenticate = (req: IncomingMessage): Caller => {
    const token = readBearer(req);
    if (token === undefined) throw new AppError('credential_missing');
    if (token !== TOKEN) throw new AppError('credential_invalid');
    return CALLER;
  };
  const mount = (express: Express): void => {
    express.use([...createServiceCallRoutes({ calls, authenticate, ...(places && { places }) })]);
    express.use([...createServiceIdentityRoutes({ identities })]);
  };
  const { server, port, url } = await startApp(t, mount, { logger });
  const send = (path: string, init: RequestInit = {}): Promise<Answer> =>
    toAnswer(
      fetch(url + path, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...(init.headers as object) } }),
    );
  const call = (json: object): Promise<Answer> =>
    send('/service-calls', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(json),
    });
  return { server, port, url, lines, line, send, call };
}

async function toAnswer(sent: Promise<Response>): Promise<Answer> {
  const response = await sent;
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  const json = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  const [error] = (json['errors'] ?? []) as readonly { msg: string }[];
  return { status: response.status, headers: Object.fromEntries(response.headers), text, json, msg: error?.msg ?? '' };
}

/** A service with TLS on a free port. `received` is what of requests has come, in bytes. */
export async function startService(t: TestContext, options: ServerOptions, answer: RequestListener) {
  const server = createServer(options, answer);
  const counted = { received: 0 };
  server.on('secureConnection', (socket: Socket) => {
    socket.on('data', (chunk: Buffer) => {
      counted.received += chunk.length;
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, counted };
}
