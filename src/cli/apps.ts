import { parseArgs } from 'node:util';

import { toAppView } from '../apps/app-document.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { type AppRegistry, createAppRegistry } from '../apps/registry.ts';
import { appPatch, appRequest } from '../apps/schemas.ts';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../core/clock.ts';
import { checkShape } from '../http/check.ts';
import type { Keyring } from '../jose/keyring.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { APP_FLAGS, listAppOptions, toAppBody } from './app-flags.ts';
import { type Command, UsageError } from './command.ts';
import { openStore } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;

interface AppsContext {
  readonly registry: AppRegistry;
  readonly keyring: () => Promise<Keyring>;
  readonly body: object;
  readonly clientId: string;
}

/** What follows `apps`, whether it takes a client id and options, and what it prints. */
const ACTIONS: Readonly<
  Record<
    string,
    {
      readonly takesId: boolean;
      readonly takesOptions: boolean;
      readonly act: (context: AppsContext) => Promise<object>;
    }
  >
> = {
  create: {
    takesId: false,
    takesOptions: true,
    act: async ({ registry, keyring, body }) => {
      const request = checkShape(appRequest, body);
      const { jwk } = (await keyring()).current;
      const { app, clientSecret } = await registry.create(request);
      return { ...toAppView(app), clientSecret, jwk };
    },
  },
  list: {
    takesId: false,
    takesOptions: false,
    act: async ({ registry }) => ({ apps: (await registry.list()).map(toAppView) }),
  },
  show: {
    takesId: true,
    takesOptions: false,
    act: async ({ registry, clientId }) => toAppView(await registry.get(clientId)),
  },
  update: {
    takesId: true,
    takesOptions: true,
    act: async ({ registry, clientId, body }) => toAppView(await registry.update(clientId, checkShape(appPatch, body))),
  },
  delete: {
    takesId: true,
    takesOptions: false,
    act: async ({ registry, clientId }) => {
      await registry.remove(clientId);
      return { deleted: clientId };
    },
  },
};

/** `countersign apps …`: registration from the command line, straight on the store. */
export const appsCommand: Command = {
  usage: 'create|list|show|update|delete [<clientId>] [--name … --algorithm …]',
  summary: 'register SDK apps; options are the members of POST /admin/apps in kebab case',
  options: listAppOptions(),
  run: async ({ args, env, print }) => {
    const options = Object.fromEntries(Object.keys(APP_FLAGS).map((name) => [name, { type: 'string' } as const]));
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [name = '', clientId = '', ...rest] = positionals;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined || (clientId !== '') !== action.takesId || rest.length > 0) {
      throw new UsageError('apps create|list | apps show|update|delete <clientId>');
    }
    const body = toAppBody(values);
    if (!action.takesOptions && Object.keys(values).length > 0) throw new UsageError(`apps ${name} takes no options`);
    const problems: string[] = [];
    const { store, vault } = await openStore(loadConfig(env, 'tools'), (detail) => problems.push(detail));
    try {
      await waitUntilReady(store, STORE_TIMEOUT_MS);
      const { documents, identities, sessions } = store;
      const registry = createAppRegistry({ documents, identities, sessions, vault, clock: systemClock });
      const keyring = createPlatformKeys({ documents, vault });
      print(JSON.stringify(await action.act({ registry, keyring, body, clientId }), null, 2));
    } finally {
      await store.close();
    }
  },
};
