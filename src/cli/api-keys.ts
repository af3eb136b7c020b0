import { parseArgs } from 'node:util';

import { createToken } from '../core/ids.ts';
import { sha256Hex } from '../core/secret.ts';
import { parseKeyList } from '../http/key-list.ts';
import { type Command, UsageError } from './command.ts';

const KEY_BYTES = 32;

/** `countersign api-keys create`: a key for a caller, and the line for the file that lists its hash. */
export const apiKeysCommand: Command = {
  usage: 'create --label <whose>',
  summary: 'make an API key, and the line of its hash for the key file',
  run: async ({ args, print }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { label: { type: 'string' } },
      allowPositionals: true,
    });
    if (positionals.join(' ') !== 'create' || !values.label) throw new UsageError('api-keys create --label <whose>');
    const key = `csk_${createToken(KEY_BYTES)}`;
    const line = `${values.label}:${sha256Hex(key)}`;
    parseKeyList(line);
    print(JSON.stringify({ key, line }, null, 2));
  },
};
