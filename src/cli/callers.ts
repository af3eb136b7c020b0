import { parseArgs } from 'node:util';

import { toCallerView } from '../gateway/connector-view.ts';
import { callerRequest } from '../gateway/schemas.ts';
import { checkShape } from '../http/check.ts';
import { auditCommandAct } from './audit-command-act.ts';
import { type Command, UsageError } from './command.ts';
import { toActLine, toActTarget, withGatewayAdmin } from './with-gateway-admin.ts';

const USAGE = 'callers create --name <text> [--connectors <id>,…] | callers list | callers delete <id>';

/** `countersign callers …`: who may call through the gateway, from the command line, straight on the store. */
export const callersCommand: Command = {
  usage: 'create --name <text> [--connectors <id>,…] | list | delete <id>',
  summary: 'register who may call through the gateway; create shows the token, once',
  run: async ({ args, env, user, print, printError }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { name: { type: 'string' }, connectors: { type: 'string' } },
      allowPositionals: true,
    });
    const [action = '', id = '', ...rest] = positionals;
    const isCreate = action === 'create';
    const isKnown = isCreate || ['list', 'delete'].includes(action);
    const hasOptions = Object.keys(values).length > 0;
    if (!isKnown || (id !== '') !== (action === 'delete') || rest.length > 0 || (hasOptions && !isCreate)) {
      throw new UsageError(USAGE);
    }
    await withGatewayAdmin(env, async ({ callers }, _show, audit) => {
      const entry = { user, act: `callers ${action}`, ...toActTarget(id) };
      printError(toActLine(`callers ${action}`, id));
      if (isCreate) {
        const connectors = values.connectors?.split(',').map((one) => one.trim());
        const request = checkShape(callerRequest, { ...values, ...(connectors && { connectors }) });
        const made = await auditCommandAct(audit, entry, async () => {
          const { caller, token } = await callers.create(request);
          return { ...toCallerView(caller), token };
        });
        print(JSON.stringify(made, null, 2));
      } else if (action === 'list') {
        print(JSON.stringify({ callers: (await callers.list()).map(toCallerView) }, null, 2));
      } else {
        await auditCommandAct(audit, entry, () => callers.remove(id));
        print(JSON.stringify({ deleted: id }, null, 2));
      }
    });
  },
};
