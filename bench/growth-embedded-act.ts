/**
 * Does one of {@link EMBEDDED_ACTS} to the file of an embedded store and prints what it gives: `<act> <file> <count> [<kind>]`. A process of its own,
 * since the package closes a connection only when all of its statements have been collected: until then it keeps its locks.
 */
import { EMBEDDED_ACTS } from './growth-embedded.ts';
import type { RecordKind } from './growth-records.ts';

const [act = '', file = '', count = '', kind = ''] = process.argv.slice(2);
if (!Object.hasOwn(EMBEDDED_ACTS, act)) throw new TypeError(`no such act: ${act}`);
const given = EMBEDDED_ACTS[act as keyof typeof EMBEDDED_ACTS](file, Number(count), kind as RecordKind);
console.log(JSON.stringify(given ?? null));
