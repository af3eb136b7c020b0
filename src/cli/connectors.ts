import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { toCertifiedView } from '../gateway/connector-view.ts';
import type { GatewayAdmin } from '../gateway/create-gateway-admin.ts';
import { certificateRequest, connectorPatch, connectorRequest, packageQuery } from '../gateway/schemas.ts';
import { checkShape } from '../http/check.ts';
import { auditCommandAct } from './audit-command-act.ts';
import { type Command, UsageError } from './command.ts';
import { type ShowConnector, toActLine, toActTarget, withGatewayAdmin } from './with-gateway-admin.ts';

const STANDARD_INPUT = 0;

const OPTIONS = {
  name: { type: 'string' },
  description: { type: 'string' },
  company: { type: 'string' },
  'csr-file': { type: 'string' },
  serial: { type: 'string' },
  os: { type: 'string' },
  out: { type: 'string' },
} as const;

type Option = keyof typeof OPTIONS;
type Values = { readonly [Name in Option]?: string | undefined };

interface ConnectorsContext {
  readonly admin: GatewayAdmin;
  readonly id: string;
  readonly values: Values;
  readonly show: ShowConnector;
}

interface Action {
  readonly takesId: boolean;
  readonly options: readonly Option[];
  readonly needs?: Option;
  /** Whether it changes nothing. */
  readonly isReading?: true;
  readonly act: (context: ConnectorsContext) => Promise<object>;
}

/** What follows `connectors`: whether it takes an id, which options, and what it prints. */
const ACTIONS: Readonly<Record<string, Action>> = {
  create: {
    takesId: false,
    options: ['name', 'description', 'company'],
    act: async ({ admin, values, show }) =>
      show(await admin.connectors.create(checkShape(connectorRequest, { ...values }))),
  },
  list: {
    takesId: false,
    options: [],
    isReading: true,
    act: async ({ admin, show }) => ({ connectors: await Promise.all((await admin.connectors.list()).map(show)) }),
  },
  show: {
    takesId: true,
    options: [],
    isReading: true,
    act: async ({ admin, id, show }) => show(await admin.connectors.get(id)),
  },
  update: {
    takesId: true,
    options: ['name', 'description'],
    act: async ({ admin, id, values, show }) =>
      show(await admin.connectors.update(id, checkShape(connectorPatch, { ...values }))),
  },
  certificate: {
    takesId: true,
    options: ['csr-file', 'out'],
    needs: 'csr-file',
    act: async ({ admin, id, values }) => {
      const { csr } = checkShape(certificateRequest, { csr: readRequest(values['csr-file'] ?? '') });
      const certified = toCertifiedView(await admin.connectors.addCertificate(id, csr));
      if (values.out === undefined) return certified;
      const { certificate, ca: _, ...rest } = certified;
      writeFileSync(values.out, certificate);
      return { ...rest, file: values.out };
    },
  },
  revoke: {
    takesId: true,
    options: ['serial'],
    needs: 'serial',
    act: async ({ admin, id, values, show }) => show(await admin.connectors.revokeCertificate(id, values.serial ?? '')),
  },
  enable: { takesId: true, options: [], act: async ({ admin, id, show }) => show(await admin.connectors.enable(id)) },
  disable: { takesId: true, options: [], act: async ({ admin, id, show }) => show(await admin.connectors.disable(id)) },
  package: {
    takesId: true,
    options: ['os', 'out'],
    act: async ({ admin, id, values }) => {
      const { os } = checkShape(packageQuery, { ...(values.os !== undefined && { os: values.os }) });
      const { fileName, bytes } = await admin.packConnector(await admin.connectors.get(id), os);
      const file = values.out ?? fileName;
      writeFileSync(file, bytes);
      return { file, bytes: bytes.byteLength };
    },
  },
  delete: {
    takesId: true,
    options: [],
    act: async ({ admin, id }) => {
      await admin.connectors.remove(id);
      return { deleted: id };
    },
  },
};

const USAGE = Object.entries(ACTIONS).map(([name, { takesId, options, needs }]) =>
  [
    'connectors',
    name,
    ...(takesId ? ['<id>'] : []),
    ...options.map((option) => (option === needs ? `--${option} …` : `[--${option} …]`)),
  ].join(' '),
);

/** `countersign connectors …`: the connectors from the command line, straight on the store. */
export const connectorsCommand: Command = {
  usage: 'create|list | show|update|certificate|revoke|enable|disable|package|delete <id>',
  summary: 'add connectors, sign their certificates, enable them',
  options: [
    '--name <text>           create, update',
    '--description <text>    create, update',
    '--company <text>        create: "default" where it is left out',
    '--csr-file <file>       certificate: Kore.aiConnector.csr; - for the standard input',
    '--serial <hexadecimal>  revoke',
    '--os linux|windows      package',
    '--out <file>            certificate, package: where to write it',
  ],
  run: async ({ args, env, user, print, printError }) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [name = '', id = '', ...rest] = positionals;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    const isKnown = Object.keys(values).every((option) => action?.options.includes(option as Option));
    const isComplete = action?.needs === undefined || values[action.needs] !== undefined;
    if (action === undefined || (id !== '') !== action.takesId || rest.length > 0 || !isKnown || !isComplete) {
      throw new UsageError(USAGE.join(' | '));
    }
    await withGatewayAdmin(env, async (admin, show, audit) => {
      printError(toActLine(`connectors ${name}`, id));
      const perform = (): Promise<object> => action.act({ admin, id, values, show });
      const entry = { user, act: `connectors ${name}`, ...toActTarget(id) };
      print(JSON.stringify(await (action.isReading ? perform() : auditCommandAct(audit, entry, perform)), null, 2));
    });
  },
};

function readRequest(path: string): string {
  try {
    return readFileSync(path === '-' ? STANDARD_INPUT : path, 'utf8');
  } catch {
    throw new UsageError('--csr-file: the file cannot be read');
  }
}
