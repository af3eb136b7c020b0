import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';

import { MAX_CERTIFICATES } from '../../src/gateway/connector-certificates.ts';
import { toCompanyId } from '../../src/gateway/connector-documents.ts';
import type { JsonObject } from '../../src/core/json.ts';
import type { Operation, RawAnswer } from '../support/openapi.ts';
import type { IdproxyUnderTest } from '../support/idproxy-under-test.ts';
import type { Call, World } from './openapi-calls.ts';

/** What no request can bring about: these read nothing that could be broken, or pass over it. */
export const GATEWAY_UNFORESEEN = ['listConnectors 500', 'createCaller 500', 'deleteCaller 500'];

/** Operations on one connector. */
const OF_CONNECTOR = [
  'getConnector',
  'updateConnector',
  'deleteConnector',
  'enableConnector',
  'disableConnector',
  'certifyConnector',
  'revokeCertificate',
  'downloadConnector',
];
const BODIES: Readonly<Record<string, () => JsonObject>> = {
  updateConnector: () => ({ description: 'CRM' }),
  certifyConnector: () => ({ csr: createCsr() }),
};
const withBody = (operationId: string): { body?: JsonObject } => {
  const body = BODIES[operationId]?.();
  return body === undefined ? {} : { body };
};

function createCsr(): string {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null'];
  return execFileSync('openssl', ['req', '-new', ...key, '-subj', '/CN=x'], {
    cwd: tmpdir(),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** The id of a new connector, of a company of its own. */
async function addConnector({ admin }: IdproxyUnderTest): Promise<string> {
  const { status, body } = await admin('POST', '/admin/connectors', { company: randomUUID() });
  assert.equal(status, 201, JSON.stringify(body));
  return (body as { id: string }).id;
}

/** A good request of every operation on connectors and callers, by its id. */
export const GATEWAY_CALLS: Readonly<Record<string, (world: World) => Call | Promise<Call>>> = {
  listConnectors: () => ({}),
  createConnector: () => ({ body: { name: 'Intranet', description: 'CRM', company: randomUUID() } }),
  ...Object.fromEntries(
    OF_CONNECTOR.map((operationId) => [
      operationId,
      async ({ idproxy }: World) => ({ id: await addConnector(idproxy), ...withBody(operationId) }),
    ]),
  ),
  revokeCertificate: async ({ idproxy }) => {
    const id = await addConnector(idproxy);
    const { body } = await idproxy.admin('POST', `/admin/connectors/${id}/certificate`, { csr: createCsr() });
    return { id, serial: (body as { serial: string }).serial };
  },
  downloadConnector: async ({ idproxy }) => ({ id: await addConnector(idproxy), query: { os: 'windows' } }),
  listCallers: () => ({}),
  createCaller: async ({ idproxy }) => ({ body: { name: 'Bots', connectors: [await addConnector(idproxy)] } }),
  deleteCaller: async ({ idproxy }) => {
    const { body } = await idproxy.admin('POST', '/admin/callers', { name: 'Bots' });
    return { id: (body as { id: string }).id };
  },
};

/** Breaks what the operations read. @returns the calls that come upon it */
export async function breakGateway({ admin, store }: IdproxyUnderTest): Promise<Readonly<Record<string, Call>>> {
  const company = randomUUID();
  const { body } = await admin('POST', '/admin/connectors', { company });
  const { id } = body as { id: string };
  assert.ok(await store.documents.update('connectors', id, '{}', 1));
  assert.ok(await store.documents.insert('connectors', toCompanyId('broken'), '{'));
  assert.ok(await store.documents.insert('callers', 'cl-broken', '{'));
  return {
    createConnector: { body: { company: 'broken' } },
    ...Object.fromEntries(OF_CONNECTOR.map((operationId) => [operationId, { id, ...withBody(operationId) }])),
  };
}

/** What the refusals need of the test that runs them. */
export interface Judging {
  readonly find: (operationId: string) => Operation;
  readonly sendGood: (operation: Operation, at: World, call?: Call) => Promise<RawAnswer>;
  readonly expectFailure: (operation: Operation, answer: RawAnswer, code: string) => Promise<void>;
}

/** Sends what is refused of the operations on connectors and callers. `contended` is on a store where somebody is always faster. */
export async function expectGatewayRefusals(
  { find, sendGood, expectFailure }: Judging,
  world: World,
  contended: World,
): Promise<void> {
  const refuse = async (operationId: string, code: string, call?: Call, at = world): Promise<void> => {
    const operation = find(operationId);
    await expectFailure(operation, await sendGood(operation, at, call), code);
  };
  for (const operationId of OF_CONNECTOR) {
    await refuse(operationId, 'connector_not_found', { id: 'cn-nobody', ...withBody(operationId) });
    await refuse(operationId, 'invalid_request', { id: '%ff', ...withBody(operationId) });
  }
  await refuse('revokeCertificate', 'certificate_not_found', { id: await addConnector(world.idproxy) });
  await refuse('downloadConnector', 'invalid_request', { id: await addConnector(world.idproxy), query: { os: 'mac' } });
  await refuse('deleteCaller', 'caller_not_found', { id: 'cl-nobody' });
  await refuse('deleteCaller', 'invalid_request', { id: '%ff' });

  const company = randomUUID();
  for (let count = 0; count < 2; count++) await world.idproxy.admin('POST', '/admin/connectors', { company });
  await refuse('createConnector', 'connector_limit', { body: { company } });

  const full = await addConnector(world.idproxy);
  await fill(world.idproxy, full, MAX_CERTIFICATES);
  await refuse('certifyConnector', 'certificate_limit', { id: full, ...withBody('certifyConnector') });

  const [one, other] = [await addConnector(contended.idproxy), await addConnector(contended.idproxy)];
  for (const id of [one, other]) await fill(contended.idproxy, id, 1);
  const theirs = await enableByHand(contended.idproxy, other);
  await refuse('createConnector', 'connector_conflict', { body: { company: theirs } }, contended);
  for (const operationId of ['updateConnector', 'enableConnector', 'certifyConnector', 'deleteConnector']) {
    await refuse(operationId, 'connector_conflict', { id: one, ...withBody(operationId) }, contended);
  }
  await refuse('disableConnector', 'connector_conflict', { id: other }, contended);
  await refuse('revokeCertificate', 'connector_conflict', { id: other, serial: '0' }, contended);
}

/** Changes a document of the store past whoever is always faster. */
async function change({ store: { documents } }: IdproxyUnderTest, id: string, add: JsonObject): Promise<JsonObject> {
  const document = (await documents.list('connectors')).find((one) => one.id === id);
  assert.ok(document, id);
  const body = { ...(JSON.parse(document.body) as JsonObject), ...add };
  assert.ok(await documents.update('connectors', id, JSON.stringify(body), document.revision));
  return body;
}

/** Gives a connector that many valid certificates. */
async function fill(idproxy: IdproxyUnderTest, id: string, count: number): Promise<void> {
  const times = { issuedAt: 0, expiresAt: 4_000_000_000 };
  await change(idproxy, id, {
    certificates: Array.from({ length: count }, (_, index) => ({ serial: `${index}`, ...times })),
  });
}

/** Enables a connector. @returns its company */
async function enableByHand(idproxy: IdproxyUnderTest, id: string): Promise<string> {
  const { company } = await change(idproxy, id, {});
  await change(idproxy, toCompanyId(String(company)), { enabledId: id });
  return String(company);
}
