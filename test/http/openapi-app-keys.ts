import type { Operation, RawAnswer } from '../support/openapi.ts';
import type { Call, World } from './openapi-calls.ts';

interface Tools {
  readonly find: (id: string) => Operation;
  readonly sendGood: (operation: Operation, at: World, call?: Call) => Promise<RawAnswer>;
  readonly expectFailure: (operation: Operation, answer: RawAnswer, code: string) => Promise<void>;
}

/** A fresh app with two keys, and the first of them. */
async function makeRotating({ idproxy }: World): Promise<{ readonly clientId: string; readonly kid: string }> {
  const { clientId } = await idproxy.register({ algorithm: 'HS256' });
  await idproxy.admin('POST', `/admin/apps/${clientId}/keys`, {});
  const { keys } = (await idproxy.admin('GET', `/admin/apps/${clientId}/keys`)).body as { keys: { kid: string }[] };
  return { clientId, kid: keys[0]?.kid ?? '' };
}

/** Gives the app a second key behind the API's back. */
async function withSecondKey({ app, idproxy }: World): Promise<{ readonly clientId: string; readonly kid: string }> {
  const { clientId } = app;
  const { documents } = idproxy.store;
  const document = (await documents.list('apps')).find(({ id }) => id === clientId);
  const body = JSON.parse(document?.body ?? '') as { keys: { kid: string }[] };
  const [first] = body.keys;
  const keys = [first, { ...first, kid: 'k-second' }];
  await documents.update('apps', clientId, JSON.stringify({ ...body, keys }), document?.revision ?? 0);
  return { clientId, kid: 'k-second' };
}

/** A good request of every operation on an app's keys, by its id. */
export const APP_KEY_CALLS: Readonly<Record<string, (world: World) => Call | Promise<Call>>> = {
  listAppKeys: ({ app }) => ({ clientId: app.clientId }),
  addAppKey: async ({ idproxy }) => ({
    clientId: (await idproxy.register({ algorithm: 'HS256' })).clientId,
    body: { retireOthersInSeconds: 60 },
  }),
  updateAppKey: async (world) => ({ ...(await makeRotating(world)), body: { retiresInSeconds: 60 } }),
  removeAppKey: makeRotating,
};

/** The same for an app whose document cannot be read. */
export const toBrokenAppKeyCalls = (clientId: string): Readonly<Record<string, Call>> => ({
  addAppKey: { clientId, body: {} },
  updateAppKey: { clientId, kid: 'k-first', body: { retiresInSeconds: 60 } },
  removeAppKey: { clientId, kid: 'k-first' },
});

/** Brings about every refusal of the operations on an app's keys. */
export async function expectAppKeyRefusals(tools: Tools, world: World, contended: World): Promise<void> {
  const { find, sendGood, expectFailure } = tools;
  const { clientId } = world.app;
  const expect = async (id: string, at: World, call: Call | undefined, code: string): Promise<void> =>
    expectFailure(find(id), await sendGood(find(id), at, call), code);
  for (const [id, call] of Object.entries(toBrokenAppKeyCalls('cs-nobody'))) {
    await expect(id, world, call, 'app_not_found');
    await expect(id, world, { ...call, clientId: '%ff' }, 'invalid_request');
    // A third key would be refused before anything is written.
    const own = id === 'addAppKey' ? { clientId: contended.app.clientId } : await withSecondKey(contended);
    await expect(id, contended, { ...call, ...own }, 'app_conflict');
  }
  await expect('listAppKeys', world, { clientId: 'cs-nobody' }, 'app_not_found');
  await expect('listAppKeys', world, { clientId: '%ff' }, 'invalid_request');
  const { keys } = (await world.idproxy.admin('GET', `/admin/apps/${clientId}/keys`)).body as {
    keys: { kid: string }[];
  };
  const only = { clientId, kid: keys[0]?.kid ?? '' };
  for (const id of ['updateAppKey', 'removeAppKey']) {
    const body = id === 'updateAppKey' ? { body: { retiresInSeconds: 60 } } : {};
    await expect(id, world, { clientId, kid: 'k-none', ...body }, 'app_key_not_found');
    await expect(id, world, { ...only, ...body }, 'app_key_needed');
  }
  const early = { activatesInSeconds: 60, retireOthersInSeconds: 30 };
  await expect('addAppKey', world, { clientId, body: early }, 'app_key_needed');
  await expect('addAppKey', world, { clientId: (await makeRotating(world)).clientId, body: {} }, 'app_keys_full');
}
