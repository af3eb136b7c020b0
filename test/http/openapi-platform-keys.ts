import type { Operation, RawAnswer } from '../support/openapi.ts';
import type { Call, World } from './openapi-calls.ts';

interface Key {
  readonly kid: string;
  readonly use: string;
  readonly state: string;
}

async function findKey({ idproxy }: World, state: string): Promise<string | undefined> {
  const { keys } = (await idproxy.admin('GET', '/admin/keys')).body as { keys: readonly Key[] };
  return keys.find((key) => key.use === 'enc' && key.state === state)?.kid;
}

/** A key that is published and not used yet. */
async function makeNext(world: World): Promise<string> {
  const body = { use: 'enc', activatesInSeconds: 3_600 };
  const made = (): Promise<{ body: unknown }> => world.idproxy.admin('POST', '/admin/keys', body);
  return (await findKey(world, 'next')) ?? ((await made()).body as Key).kid;
}

/** A good request of every operation on the platform's keys, by its id. */
export const PLATFORM_KEY_CALLS: Readonly<Record<string, (world: World) => Call | Promise<Call>>> = {
  listPlatformKeys: () => ({}),
  rotatePlatformKey: async (world) => {
    const next = await findKey(world, 'next');
    if (next !== undefined) await world.idproxy.admin('DELETE', `/admin/keys/${next}`);
    return { body: { use: 'enc', activatesInSeconds: 3_600 } };
  },
  retirePlatformKey: async (world) => {
    await makeNext(world);
    return { kid: (await findKey(world, 'current')) ?? '', body: { retiresInSeconds: 7_200 } };
  },
  deletePlatformKey: async (world) => ({ kid: await makeNext(world) }),
};

/** The operations on the platform's keys, each with what it is asked where none of its keys can be read. */
export const BROKEN_PLATFORM_KEY_CALLS: Readonly<Record<string, Call>> = {
  listPlatformKeys: {},
  rotatePlatformKey: { body: { use: 'enc' } },
  retirePlatformKey: { kid: 'any', body: { retiresInSeconds: 60 } },
  deletePlatformKey: { kid: 'any' },
};

interface Tools {
  readonly find: (id: string) => Operation;
  readonly sendGood: (operation: Operation, at: World, call?: Call) => Promise<RawAnswer>;
  readonly expectFailure: (operation: Operation, answer: RawAnswer, code: string) => Promise<void>;
}

/** Brings about every refusal of the operations on the platform's keys. */
export async function expectPlatformKeyRefusals({ find, sendGood, expectFailure }: Tools, world: World): Promise<void> {
  const expect = async (id: string, call: Call, code: string): Promise<void> =>
    expectFailure(find(id), await sendGood(find(id), world, call), code);
  for (const id of ['retirePlatformKey', 'deletePlatformKey']) {
    const call = BROKEN_PLATFORM_KEY_CALLS[id] ?? {};
    await expect(id, { ...call, kid: 'nobody' }, 'platform_key_not_found');
    await expect(id, { ...call, kid: '%ff' }, 'invalid_request');
  }
  await makeNext(world);
  await expect('rotatePlatformKey', { body: { use: 'enc' } }, 'platform_key_conflict');
  const kid = (await findKey(world, 'current')) ?? '';
  await expect('deletePlatformKey', { kid }, 'platform_key_conflict');
  await expect('retirePlatformKey', { kid, body: { retiresInSeconds: 0 } }, 'platform_key_conflict');
}
