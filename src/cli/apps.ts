import { parseArgs } from 'node:util';

import { toAppView } from '../apps/app-document.ts';
import { type AppKeys, createAppKeys } from '../apps/keys/app-keys.ts';
import { toAppKeyView } from '../apps/keys/key-view.ts';
import { appKeyRequest } from '../apps/keys/schemas.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { type AppRegistry, createAppRegistry } from '../apps/registry.ts';
import { appPatch, appRequest } from '../apps/schemas.ts';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../core/clock.ts';
import { checkShape } from '../http/check.ts';
import type { Keyring } from '../jose/keyring.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { auditCommandAct } from './audit-command-act.ts';
import { APP_FLAGS, type BodyFlags, listOptions, ROTATE_FLAGS, toBody } from './app-flags.ts';
import { type Command, UsageError } from './command.ts';
import { openStore } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;

/** How long the former key of `apps rotate` goes on, in seconds, where nothing is said. */
const OVERLAP_SECONDS = 86_400;

interface AppsContext {
  readonly registry: AppRegistry;
  readonly appKeys: AppKeys;
  readonly keyring: () => Promise<Keyring>;
  readonly body: object;
  readonly clientId: string;
  readonly kid: string;
}

interface Action {
  /** The words behind its name. */
  readonly ids: readonly string[];
  readonly flags: BodyFlags;
  /** Whether nothing is changed. */
  readonly isReading?: boolean;
  /** @returns what is printed */
  act(context: AppsContext): Promise<object>;
}

/** What follows `apps`. */
const ACTIONS: Readonly<Record<string, Action>> = {
  create: {
    ids: [],
    flags: APP_FLAGS,
    act: async ({ registry, keyring, body }) => {
      const request = checkShape(appRequest, body);
      const { jwk } = (await keyring()).current;
      const { app, clientSecret } = await registry.create(request);
      return { ...toAppView(app), clientSecret, jwk };
    },
  },
  list: {
    ids: [],
    flags: {},
    isReading: true,
    act: async ({ registry }) => ({ apps: (await registry.list()).map(toAppView) }),
  },
  show: {
    ids: ['clientId'],
    flags: {},
    isReading: true,
    act: async ({ registry, clientId }) => toAppView(await registry.get(clientId)),
  },
  update: {
    ids: ['clientId'],
    flags: APP_FLAGS,
    act: async ({ registry, clientId, body }) => toAppView(await registry.update(clientId, checkShape(appPatch, body))),
  },
  rotate: {
    ids: ['clientId'],
    flags: ROTATE_FLAGS,
    act: async ({ appKeys, clientId, body }) => {
      const { overlapSeconds = OVERLAP_SECONDS, ...source } = body as { readonly overlapSeconds?: number };
      const request = checkShape(appKeyRequest, source);
      const retireOthersInSeconds = request.activatesInSeconds + overlapSeconds;
      const added = await appKeys.add(clientId, checkShape(appKeyRequest, { ...request, retireOthersInSeconds }));
      const { key, clientSecret, others } = added;
      return { clientId, ...toAppKeyView(key), clientSecret, former: others.map(toAppKeyView) };
    },
  },
  'retire-key': {
    ids: ['clientId', 'kid'],
    flags: {},
    act: async ({ appKeys, clientId, kid }) => {
      await appKeys.remove(clientId, kid);
      return { clientId, retired: kid };
    },
  },
  delete: {
    ids: ['clientId'],
    flags: {},
    act: async ({ registry, clientId }) => {
      await registry.remove(clientId);
      return { deleted: clientId };
    },
  },
};

/** Every option that some action takes. */
const ALL_FLAGS: BodyFlags = { ...APP_FLAGS, ...ROTATE_FLAGS };

/** The action that the words name. @throws UsageError */
function findAction(name: string, ids: readonly string[], flags: readonly string[]): Action {
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined || action.ids.length !== ids.length) {
    throw new UsageError(
      Object.entries(ACTIONS)
        .map(([one, { ids: words }]) => ['apps', one, ...words.map((word) => `<${word}>`)].join(' '))
        .join(' | '),
    );
  }
  const foreign = flags.find((flag) => !Object.hasOwn(action.flags, flag));
  if (foreign !== undefined) {
    const takesSome = Object.keys(action.flags).length > 0;
    throw new UsageError(`apps ${name} ${takesSome ? `does not take --${foreign}` : 'takes no options'}`);
  }
  return action;
}

/** `countersign apps …`: registration from the command line, straight on the store. */
export const appsCommand: Command = {
  usage: 'create|list|show|update|rotate|retire-key|delete [<clientId> [<kid>]] [--name … --algorithm …]',
  summary: 'register SDK apps; options are the members of POST /admin/apps in kebab case',
  options: [...listOptions(APP_FLAGS), 'rotate alone:', ...listOptions(ROTATE_FLAGS)],
  run: async ({ args, env, user, print }) => {
    const options = Object.fromEntries(Object.keys(ALL_FLAGS).map((name) => [name, { type: 'string' } as const]));
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [name = '', ...ids] = positionals;
    const action = findAction(name, ids, Object.keys(values));
    const [clientId = '', kid = ''] = ids;
    const body = toBody(action.flags, values);
    const problems: string[] = [];
    const { store, vault } = await openStore(loadConfig(env, 'tools'), (detail) => problems.push(detail));
    try {
      await waitUntilReady(store, STORE_TIMEOUT_MS);
      const { documents, identities, sessions } = store;
      const registry = createAppRegistry({ documents, identities, sessions, vault, clock: systemClock });
      const { keyring } = createPlatformKeys({ documents, vault, clock: systemClock });
      const appKeys = createAppKeys({ documents, vault, clock: systemClock });
      const perform = (): Promise<object> => action.act({ registry, appKeys, keyring, body, clientId, kid });
      const target = { ...(clientId !== '' && { clientId }), ...(kid !== '' && { kid }) };
      const entry = { user, act: `apps ${name}`, target };
      const result = await (action.isReading ? perform() : auditCommandAct(store.audit, entry, perform));
      print(JSON.stringify(result, null, 2));
    } finally {
      await store.close();
    }
  },
};
