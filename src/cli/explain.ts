import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createAppDirectory } from '../apps/directory.ts';
import { createPlatformKeys } from '../apps/platform-keys.ts';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../core/clock.ts';
import { checkShape } from '../http/check.ts';
import { toServerUrl } from '../http/server.ts';
import { createAuthenticateToken } from '../idproxy/authenticate-token.ts';
import { createExplain, RESTS } from '../idproxy/explain.ts';
import { type Explanation, explainRequest } from '../idproxy/explain-schemas.ts';
import { waitUntilReady } from '../stores/wait-until-ready.ts';
import { type Command, UsageError } from './command.ts';
import { createKeySetReader } from './key-set-reader.ts';
import { openStore, toListenAt } from './runtime.ts';

const STORE_TIMEOUT_MS = 5_000;
const STANDARD_INPUT = 0;
const USAGE = 'explain [<token>|-] [--app <clientId>] [--at <time>] [--json]';

const OPTIONS = { app: { type: 'string' }, at: { type: 'string' }, json: { type: 'boolean' } } as const;

/** A token that would be refused: the exit code says so. */
class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** `countersign explain`: what would become of a token, straight on the store, without using it up. */
export const explainCommand: Command = {
  usage: '[<token>|-] [--app <clientId>]',
  summary:
    'say, check by check, what would become of a token, without using it up; reads the token from the standard input',
  options: [
    '--app <clientId>   the app that it is meant for, where it names another or none',
    '--at <time>        as if it were that time: ISO 8601, or seconds since the epoch',
    '--json             for machines; the exit code is 0 where it would be accepted, else 1',
  ],
  run: async ({ args, env, print, printError }) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [given, ...rest] = positionals;
    if (rest.length > 0) throw new UsageError(USAGE);
    const isArgument = given !== undefined && given !== '-';
    // SECURITY: a token that is still alive is a credential.
    if (isArgument)
      printError('warning: the process list and the history of the shell show this token; pipe it in instead');
    const { app, at, json = false } = values;
    const request = checkShape(explainRequest, {
      token: (isArgument ? given : readInput()).trim(),
      ...(app !== undefined && { app }),
      ...(at !== undefined && { at: parseTime(at) }),
    });
    const explanation = await explainOnStore(env, request);
    print(json ? JSON.stringify(explanation, null, 2) : toText(explanation));
    if (!explanation.isAccepted) throw new RefusedError('the token would be refused');
  },
};

async function explainOnStore(
  env: Readonly<Record<string, string | undefined>>,
  { token, app, at }: { readonly token: string; readonly app?: string | undefined; readonly at?: number | undefined },
): Promise<Explanation> {
  const config = loadConfig(env, 'tools');
  const getText = createKeySetReader(config);
  const problems: string[] = [];
  const onProblem = (detail: string) => problems.push(detail);
  const { store, vault } = await openStore(config, onProblem);
  try {
    await waitUntilReady(store, STORE_TIMEOUT_MS);
    const { documents } = store;
    const directory = createAppDirectory({ documents, vault, clock: systemClock, getText, onProblem });
    const platformKeys = createPlatformKeys({ documents, vault, clock: systemClock });
    const { keyring } = platformKeys;
    const authenticateToken = createAuthenticateToken({ directory, keyring });
    // As the server that is started with the same settings calls itself.
    const issuer = () => config.publicUrl ?? toServerUrl(toListenAt(config, config.idproxyPort));
    try {
      return await createExplain({ directory, keyring, authenticateToken, clock: systemClock, issuer })(token, {
        app,
        at,
      });
    } finally {
      directory.close();
      platformKeys.close();
    }
  } finally {
    await store.close();
  }
}

function readInput(): string {
  try {
    return readFileSync(STANDARD_INPUT, 'utf8');
  } catch {
    throw new UsageError(`${USAGE}, with the token on the standard input`);
  }
}

/** Seconds since the epoch, or a date with its time and its zone. */
function parseTime(text: string): number {
  if (/^\d{1,11}(?:\.\d{1,9})?$/.test(text)) return Number(text);
  const at = /^\d{4}-\d\d-\d\dT.+(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) / 1_000 : NaN;
  if (Number.isNaN(at)) throw new UsageError('explain --at takes 2026-01-31T18:00:00Z or seconds since the epoch');
  return at;
}

const MARKS = { ok: 'ok', refused: 'REFUSED', 'not asked': 'not asked' } as const;

/** An explanation for people. */
function toText({ isAccepted, at, answer, checks, otherMembers, clientId, settings }: Explanation): string {
  const asked = checks.filter(({ says }) => says !== RESTS);
  const skipped = checks.filter(({ says }) => says === RESTS).map(({ check }) => check);
  const width = Math.max(...asked.map(({ check }) => check.length));
  return [
    `at ${at}: ${isAccepted ? 'would be accepted' : 'would be refused'}`,
    ...(answer ? [`answer: ${answer.status} ${answer.msg}`, `log:    ${answer.failure}; ${answer.detail ?? ''}`] : []),
    '',
    ...asked.map(({ check, verdict, says }) => `${MARKS[verdict].padEnd(9)}  ${check.padEnd(width)}  ${says}`),
    ...(skipped.length > 0 ? ['', `not asked, since they rest on what could not be read: ${skipped.join(', ')}`] : []),
    ...(otherMembers.length > 0 ? ['', `claims that nothing looks at: ${otherMembers.join(', ')}`] : []),
    ...(settings ? ['', `app ${clientId ?? ''}`, ...toLines(settings)] : []),
  ].join('\n');
}

function toLines(settings: object): string[] {
  return Object.entries(settings).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`);
}
