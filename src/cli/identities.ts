import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { loadConfig } from '../config/load-config.ts';
import { systemClock, toIsoDate } from '../core/clock.ts';
import { checkShape } from '../http/check.ts';
import { createIdentityRegistry, type IdentityRegistry } from '../sessions/identity-registry.ts';
import { identityLookUp, identityQuery, identityRequest } from '../sessions/identity-schemas.ts';
import { createIdentities } from '../sessions/identity.ts';
import { createReadMessages } from '../sessions/read-messages.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { auditCommandAct } from './audit-command-act.ts';
import { type Command, UsageError } from './command.ts';
import { openStore } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;
const STANDARD_INPUT = 0;
/** A user id or a client id; whatever else somebody wrote in its place may be a name. */
const ID = /^(?:u|cs)-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

const OPTIONS = {
  limit: { type: 'string' },
  cursor: { type: 'string' },
  'subject-file': { type: 'string' },
  anonymous: { type: 'boolean' },
} as const;

type Option = keyof typeof OPTIONS;

interface IdentitiesContext {
  readonly registry: IdentityRegistry;
  /** What follows the action: a client id or a user id. */
  readonly id: string;
  readonly values: { readonly [Name in Option]?: string | boolean | undefined };
}

/** What follows `identities`: which options each takes, and what it prints. */
const ACTIONS: Readonly<
  Record<
    string,
    {
      readonly takes: '<clientId>' | '<userId>';
      readonly options: readonly Option[];
      readonly act: (context: IdentitiesContext) => Promise<object>;
    }
  >
> = {
  list: {
    takes: '<clientId>',
    options: ['limit', 'cursor'],
    act: ({ registry, id, values }) => {
      const { clientId, limit, cursor } = checkShape(identityQuery, { clientId: id, ...values });
      return registry.list(clientId, limit, cursor);
    },
  },
  'look-up': {
    takes: '<clientId>',
    options: ['subject-file', 'anonymous'],
    act: ({ registry, id, values }) => {
      const named = { clientId: id, subject: readSubject(values), isAnonymous: values.anonymous ?? false };
      const { clientId, subject, isAnonymous } = checkShape(identityLookUp, named);
      return registry.lookUp(clientId, subject, isAnonymous);
    },
  },
  register: {
    takes: '<clientId>',
    options: ['subject-file'],
    act: ({ registry, id, values }) => {
      const { clientId, subject } = checkShape(identityRequest, { clientId: id, subject: readSubject(values) });
      return registry.register(clientId, subject);
    },
  },
  show: { takes: '<userId>', options: [], act: ({ registry, id }) => registry.get(id) },
  export: { takes: '<userId>', options: [], act: ({ registry, id }) => registry.export(id) },
  erase: {
    takes: '<userId>',
    options: [],
    act: async ({ registry, id }) => ({ erased: (await registry.erase(id)).userId }),
  },
};

const USAGE = Object.entries(ACTIONS).map(([name, { takes, options }]) =>
  ['identities', name, takes, ...options.map((option) => `[--${option}]`)].join(' '),
);

/** `countersign identities …`: the users of the apps from the command line, straight on the store. */
export const identitiesCommand: Command = {
  usage: 'list|look-up|register <clientId> | show|export|erase <userId>',
  summary: 'list, find, register, export and erase users',
  options: [
    '--subject-file <file>   look-up, register: holds the claim "sub"; - for the standard input',
    '--anonymous             look-up: an anonymous user',
    '--limit <number>        list: how many at most',
    '--cursor <text>         list: the "next" of the answer before',
  ],
  run: async ({ args, env, user, print, printError }) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [name = '', id = '', ...rest] = positionals;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    const isKnown = Object.keys(values).every((option) => action?.options.includes(option as Option));
    if (action === undefined || id === '' || rest.length > 0 || !isKnown) throw new UsageError(USAGE.join(' | '));
    const problems: string[] = [];
    const { store, vault } = await openStore(loadConfig(env, 'tools'), (detail) => problems.push(detail));
    try {
      await waitUntilReady(store, STORE_TIMEOUT_MS);
      const registry = createIdentityRegistry({
        documents: store.documents,
        store: store.identities,
        sessions: store.sessions,
        identities: createIdentities(vault.deriveKey('user-id')),
        readMessages: createReadMessages({ conversations: store.conversations, vault }),
        clock: systemClock,
      });
      // Before the act: who tried to read personal data is to be seen as who did. Never the subject.
      const time = toIsoDate(systemClock.nowSeconds());
      printError(JSON.stringify({ time, act: `identities ${name}`, ...(ID.test(id) && { id }), msg: 'admin act' }));
      const entry = { user, act: `identities ${name}`, ...(ID.test(id) && { target: { id } }) };
      const result = await auditCommandAct(store.audit, entry, () => action.act({ registry, id, values }));
      print(JSON.stringify(result, null, 2));
    } finally {
      await store.close();
    }
  },
};

/** SECURITY: a person's name comes from a file, never from the arguments, which the process list and the shell's history show. */
function readSubject(values: IdentitiesContext['values']): string {
  const path = values['subject-file'];
  if (typeof path !== 'string') throw new UsageError('identities look-up|register <clientId> --subject-file <file>|-');
  try {
    return readFileSync(path === '-' ? STANDARD_INPUT : path, 'utf8').replace(/\r?\n$/, '');
  } catch {
    throw new UsageError('--subject-file: the file cannot be read');
  }
}
