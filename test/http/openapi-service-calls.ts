import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { type ErrorCode, ERRORS } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { MAX_CALL_BYTES } from '../../src/gateway/service-calls/limits.ts';
import type { CallerPort } from './openapi-caller-port.ts';
import type { Call, World } from './openapi-calls.ts';
import type { Judging } from './openapi-gateway.ts';
import { toSentence } from './openapi-refusals.ts';

/** What no request can bring about: these read nothing that could be broken. */
export const SERVICE_CALLS_UNFORESEEN = ['getServiceCallOptions 500', 'listServiceIdentities 500'];

export function gatewayOf({ gateway }: World): CallerPort {
  assert.ok(gateway, 'there is a gateway');
  return gateway;
}

/** A good request of every operation on service calls, by its id. */
export const SERVICE_CALLS: Readonly<Record<string, (world: World) => Call>> = {
  callService: (world) => ({ body: { url: `${gatewayOf(world).services.plain}/` } }),
  getServiceCallOptions: () => ({}),
  listServiceIdentities: () => ({}),
};

/** More than a service call may be. */
export const OVERSIZED_CALL = `{"body":"${'x'.repeat(MAX_CALL_BYTES)}"}`;

const inside = (name: string): JsonObject => ({ via: 'connector', url: `http://${name}.virtual:8080/api/orders` });

/** Calls that are refused or fail, by the name of the failure. */
const REFUSED_CALLS: Readonly<
  Record<
    string,
    (port: CallerPort) => {
      readonly body: JsonObject;
      readonly token?: string;
      readonly connector?: string;
    }
  >
> = {
  service_identity_unknown: ({ services }) => ({ body: { url: services.plain, identity: 'nobody' } }),
  service_url_forbidden: () => ({ body: { url: 'https://elsewhere.example/' } }),
  service_unreachable: ({ services }) => ({ body: { url: services.closed } }),
  service_server_untrusted: ({ services }) => ({ body: { url: services.untrusted } }),
  service_certificate_missing: ({ services }) => ({ body: { url: services.mutual } }),
  service_certificate_refused: ({ services }) => ({ body: { url: services.mutual, identity: 'strange' } }),
  service_failed: ({ services }) => ({ body: { url: `${services.plain}/broken` } }),
  service_answer_too_large: ({ services }) => ({ body: { url: `${services.plain}/large` } }),
  application_unknown: () => ({ body: inside('elsewhere') }),
  connector_forbidden: ({ lonelyToken, connected }) => ({
    body: inside('app'),
    token: lonelyToken,
    connector: connected,
  }),
  path_forbidden: () => ({ body: { ...inside('app'), url: 'http://app.virtual:8080/private' } }),
  application_unreachable: () => ({ body: inside('unreachable') }),
  application_failed: () => ({ body: inside('failing') }),
  application_timeout: () => ({ body: inside('late') }),
  connector_lost: () => ({ body: { ...inside('lost'), method: 'POST' } }),
  connector_not_enabled: ({ disabledToken }) => ({ body: inside('app'), token: disabledToken }),
  connector_unavailable: ({ lonelyToken }) => ({ body: inside('app'), token: lonelyToken }),
  internal: () => ({ body: inside('faulty') }),
};

/** Sends service calls that fail, each in its own way. */
export async function expectServiceCallRefusals(
  { find, sendGood, expectFailure }: Judging,
  world: World,
): Promise<void> {
  const gateway = gatewayOf(world);
  const operation = find('callService');
  for (const [code, toCall] of Object.entries(REFUSED_CALLS)) {
    const { body, token = gateway.token, connector } = toCall(gateway);
    const headers = { authorization: `Bearer ${token}`, ...(connector && { 'x-connector': connector }) };
    await expectFailure(operation, await sendGood(operation, world, { body, headers }), code);
  }
  const isAsked = gateway.services.waitForSlow();
  const slow = sendGood(operation, world, { body: { url: `${gateway.services.plain}/slow` } });
  await isAsked;
  await expectFailure(operation, await sendGood(operation, world), 'busy');
  await expectFailure(operation, await slow, 'service_timeout');
}

/** A request to relay. */
interface Relayed {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const forward = (name: string, token: string, path = '/api/orders', more = {}): Relayed => ({
  path: `http://${name}.virtual:8080${path}`,
  headers: { 'proxy-authorization': `Bearer ${token}`, ...more },
});
const reverse = ({ connected }: CallerPort, headers: Readonly<Record<string, string>>): Relayed => ({
  path: `/${connected}/app.virtual/8080/api/orders`,
  headers,
});

/** Requests that are not relayed, or whose application fails, by the name of the failure. */
const REFUSED_RELAYS: Readonly<Record<string, (port: CallerPort) => Relayed>> = {
  invalid_request: ({ token }) => forward('app', token, '/api/../private'),
  caller_credential: () => forward('app', 'nonsense'),
  credential_missing: (port) => reverse(port, {}),
  credential_invalid: (port) => reverse(port, { 'x-connector-authorization': 'Bearer nonsense' }),
  head_too_large: ({ token }) => forward('app', token, '/api/orders', { 'x-large': '"'.repeat(17_000) }),
  tunnel_refused: () => ({ method: 'CONNECT', path: 'app.virtual:8080' }),
  connector_forbidden: ({ lonelyToken, connected }) =>
    forward('app', lonelyToken, '/api/orders', { 'x-connector': connected }),
  application_unknown: ({ token }) => forward('elsewhere', token),
  path_forbidden: ({ token }) => forward('app', token, '/private'),
  application_unreachable: ({ token }) => forward('unreachable', token),
  application_failed: ({ token }) => forward('failing', token),
  application_timeout: ({ token }) => forward('late', token),
  connector_lost: ({ token }) => ({ ...forward('lost', token), method: 'POST' }),
  connector_unavailable: ({ lonelyToken }) => forward('app', lonelyToken),
  internal: ({ token }) => forward('faulty', token),
};

/** Relays what fails, and what does not. @returns the names of the failures that were seen */
export async function expectRelayFailures(port: CallerPort): Promise<readonly string[]> {
  const good = await relay(port.url, forward('app', port.token));
  assert.deepEqual([good.status, good.error, good.text], [200, undefined, 'from inside']);
  for (const [code, toRelayed] of Object.entries(REFUSED_RELAYS)) await expectRelayFailure(port, code, toRelayed(port));
  return Object.keys(REFUSED_RELAYS);
}

/** The same of a gateway whose store has been away for too long. */
export async function expectRelayUnavailable(port: CallerPort): Promise<string> {
  await expectRelayFailure(port, 'store_unavailable', forward('app', port.token));
  return 'store_unavailable';
}

async function expectRelayFailure({ url }: CallerPort, code: string, relayed: Relayed): Promise<void> {
  const { status, error, text, headers } = await relay(url, relayed);
  assert.equal(error, code, text);
  assert.equal(status, ERRORS[code as ErrorCode].status, code);
  const { errors } = JSON.parse(text) as { errors: [{ msg: string; code: number }] };
  assert.match(errors[0].msg, toSentence(code as ErrorCode, false));
  assert.deepEqual([errors.length, errors[0].code], [1, status]);
  assert.equal('retry-after' in headers, status === 503, code);
  assert.equal('proxy-authenticate' in headers, status === 407, code);
}

/** `fetch` sends no absolute form and no CONNECT. */
async function relay(url: string, { path, method = 'GET', headers = {} }: Relayed) {
  const { hostname, port } = new URL(url);
  const sent = request({ host: hostname, port, path, method, headers, agent: false }).end();
  const [answer, socket, head] = (await once(sent, method === 'CONNECT' ? 'connect' : 'response')) as [
    IncomingMessage,
    Duplex?,
    Buffer?,
  ];
  const text = `${head?.toString() ?? ''}${(await buffer(socket ?? answer)).toString()}`;
  const error = answer.headers['x-connector-error'] as string | undefined;
  return { status: answer.statusCode ?? 0, error, headers: answer.headers, text };
}
