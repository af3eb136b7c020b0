/** A process of its own that loads a file together with others: `key-file-worker.js <file> <go file>`; prints what it read. */
import { existsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { createToken } from '../../../src/core/ids.ts';
import { loadOrCreateFile } from '../../../src/vault/key-file.ts';

const [path = '', goFile = ''] = process.argv.slice(2);
process.stdout.write('ready\n');
while (!existsSync(goFile)) await nextTurn();
const { text, isNew } = await loadOrCreateFile(path, () => createToken(32));
process.stdout.write(`${JSON.stringify({ text, isNew })}\n`);
