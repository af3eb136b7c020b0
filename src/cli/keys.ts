import { parseArgs } from 'node:util';

import { createPlatformKeys } from '../apps/platform-keys.ts';
import { createPlatformKeyRegistry, type PlatformKeyRegistry } from '../apps/platform-keys/registry.ts';
import { platformKeyPatch, platformKeyRequest } from '../apps/platform-keys/schemas.ts';
import type { KeyUse } from '../apps/platform-keys/stored-key.ts';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../core/clock.ts';
import { checkShape } from '../http/check.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { auditCommandAct } from './audit-command-act.ts';
import { type Command, UsageError } from './command.ts';
import { createMasterKeys, type MasterKeys } from './master-keys.ts';
import { openStore } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;

const OPTIONS = {
  'activate-in-seconds': { type: 'string' },
  'in-seconds': { type: 'string' },
  now: { type: 'boolean' },
} as const;

type Option = keyof typeof OPTIONS;

interface KeysContext {
  readonly registry: PlatformKeyRegistry;
  readonly master: MasterKeys;
  /** What follows the words of the action. */
  readonly id: string;
  readonly values: { readonly [Name in Option]?: string | boolean | undefined };
  readonly printProgress: (line: object) => void;
}

interface Action {
  readonly takesId?: boolean;
  readonly options?: readonly Option[];
  /** Whether nothing is changed. */
  readonly isReading?: boolean;
  readonly act: (context: KeysContext) => Promise<object>;
}

const rotate =
  (use: KeyUse): Action['act'] =>
  ({ registry, values }) => {
    const seconds = parseSeconds(values['activate-in-seconds'], 'activate-in-seconds');
    const body = { use, ...(seconds !== undefined && { activatesInSeconds: seconds }) };
    return registry.rotate(use, checkShape(platformKeyRequest, body).activatesInSeconds);
  };

/** What follows `keys`: what else each takes, and what it prints. */
const ACTIONS: Readonly<Record<string, Action>> = {
  list: {
    isReading: true,
    act: async ({ registry, master }) => ({ keys: await registry.list(), masterKeys: await master.list() }),
  },
  'rotate jwe': { options: ['activate-in-seconds'], act: rotate('enc') },
  'rotate signing': { options: ['activate-in-seconds'], act: rotate('sig') },
  'rotate master': { act: ({ master }) => master.rotate() },
  'activate master': { act: ({ master }) => master.activate() },
  reencrypt: { act: ({ master, printProgress }) => master.reencrypt(printProgress) },
  retire: {
    takesId: true,
    options: ['now', 'in-seconds'],
    act: async ({ registry, id, values }) => {
      const seconds = parseSeconds(values['in-seconds'], 'in-seconds');
      if (values.now !== true) {
        const body = seconds === undefined ? undefined : checkShape(platformKeyPatch, { retiresInSeconds: seconds });
        return registry.retire(id, body?.retiresInSeconds);
      }
      if (seconds !== undefined) throw new UsageError('keys retire <kid> [--now | --in-seconds <number>]');
      await registry.remove(id);
      return { deleted: id };
    },
  },
  'retire master': {
    takesId: true,
    options: ['now'],
    act: ({ master, id, values }) => master.retire(id, values.now === true),
  },
};

const USAGE = Object.entries(ACTIONS).map(([name, { takesId, options = [] }]) =>
  ['keys', name, ...(takesId ? ['<id>'] : []), ...options.map((option) => `[--${option}]`)].join(' '),
);

/** `countersign keys …`: rotation of the platform's keys and of the master key, straight on the store and the keys folder. */
export const keysCommand: Command = {
  usage: 'list | rotate jwe|signing|master | activate master | reencrypt | retire <kid> | retire master <keyId>',
  summary: "list and rotate the platform's keys and the master key",
  options: [
    '--activate-in-seconds <number>  rotate jwe|signing: from when the new key is used; a day where it is left out',
    '--in-seconds <number>           retire: when the key ends; 30 days after its successor where it is left out',
    '--now                           retire: at once. retire master: although live sessions and messages are lost',
  ],
  run: async ({ args, env, user, print, printError }) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const { name, action, id } = findAction(positionals);
    const isKnown = Object.keys(values).every((option) => action.options?.includes(option as Option));
    if (!isKnown) throw new UsageError(USAGE.join(' | '));
    const config = loadConfig(env, 'tools');
    const { store, vault } = await openStore(config, (detail) => printError(detail));
    const { documents } = store;
    const deps = { documents, vault, clock: systemClock };
    const platformKeys = createPlatformKeys(deps);
    try {
      await waitUntilReady(store, STORE_TIMEOUT_MS);
      // The first use makes the first key, after the proof that this is the master key of the store.
      await platformKeys.keyring();
      const context = {
        registry: createPlatformKeyRegistry(deps),
        master: createMasterKeys({ keysDir: config.keysDir, store, vault, clock: systemClock }),
        id,
        values,
        printProgress: (line: object) => printError(JSON.stringify(line)),
      };
      const perform = (): Promise<object> => action.act(context);
      const entry = { user, act: `keys ${name}`, ...(id !== '' && { target: { key: id } }) };
      print(
        JSON.stringify(await (action.isReading ? perform() : auditCommandAct(store.audit, entry, perform)), null, 2),
      );
    } finally {
      platformKeys.close();
      await store.close();
    }
  },
};

/** The action that the words name: two of them or one, and an id where it takes one. @throws UsageError */
function findAction(words: readonly string[]): { name: string; action: Action; id: string } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    const [id = '', ...rest] = words.slice(length);
    if (action && words.length >= length && (id !== '') === (action.takesId ?? false) && rest.length === 0)
      return { name, action, id };
  }
  throw new UsageError(USAGE.join(' | '));
}

function parseSeconds(text: string | boolean | undefined, option: Option): number | undefined {
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !/^\d{1,12}$/.test(text)) throw new UsageError(`--${option} takes a whole number`);
  return Number(text);
}
