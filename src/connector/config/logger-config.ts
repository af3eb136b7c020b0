import { LOG_LEVELS } from '../logs/levels.ts';
import type { LogSettings } from './agent-config.ts';
import type { JsonNode } from './json-positions.ts';
import { may, object, oneOf, or, type Reader, text, wholeNumber } from './shape.ts';

/** The smallest log file that can be asked for, in bytes. */
export const MIN_LOG_FILE_BYTES = 65_536;
/** The largest size of logs that can be asked for, in bytes. */
export const MAX_LOG_BYTES = 1_099_511_627_776;
/** The longest that logs are kept, in days. */
export const MAX_LOG_AGE_DAYS = 3_660;

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1_024, M: 1_048_576, G: 1_073_741_824 };

/** Bytes, or a text such as `"100M"`. */
const size: Reader<number> = (node, field, scope) => {
  const given = node.kind === 'number' || node.kind === 'string' ? String(node.value) : '';
  const [, digits = '', unit = ''] = /^(\d{1,13})([KMG]?)B?$/i.exec(given) ?? [];
  const bytes = digits === '' ? Number.NaN : Number(digits) * (UNITS[unit.toUpperCase()] ?? Number.NaN);
  if (bytes >= MIN_LOG_FILE_BYTES && bytes <= MAX_LOG_BYTES) return bytes;
  scope.fault(node.at, field, 'must be a number of bytes or a text like "100M", from 64K to 1024G');
  return undefined;
};

const prefix = text((value) => {
  if (/^[\w-][\w.-]{0,63}$/.test(value)) return value;
  throw new Error('must have only letters, digits and - _ . and at most 64 of them');
});
const folder = text((name, { files }) => {
  const path = files.toPath(name);
  const other = files.findNoFolder(path);
  if (other !== undefined) throw new Error(`${files.toName(other)} is not a folder`);
  return path;
});

const logSettings = (defaultPath: string, defaultPrefix: string): Reader<LogSettings> => {
  const read = object({
    path: or(folder, defaultPath),
    level: or(oneOf(LOG_LEVELS), 'info'),
    prefix: or(prefix, defaultPrefix),
    maxSize: may(size),
    maxTotalSize: may(size),
    maxAgeDays: may(wholeNumber(1, MAX_LOG_AGE_DAYS, 'a number of days')),
  });
  return (node, field, scope) => {
    const found = read(node, field, scope);
    if (found === undefined) return undefined;
    const { maxSize, maxTotalSize, ...rest } = found;
    if (maxSize !== undefined && maxTotalSize !== undefined && maxSize > maxTotalSize) {
      scope.fault(node.at, field, '"maxSize" of one file is larger than "maxTotalSize" of all');
      return undefined;
    }
    return {
      ...rest,
      ...(maxSize !== undefined && { maxFileBytes: maxSize }),
      ...(maxTotalSize !== undefined && { maxTotalBytes: maxTotalSize }),
    };
  };
};

/** Both logs. */
export const logger: Reader<{ readonly applogs: LogSettings; readonly auditlogs: LogSettings }> = (
  node,
  field,
  scope,
) => {
  const found = readLogger(node, field, scope);
  const isSame = found?.applogs.path === found?.auditlogs.path && found?.applogs.prefix === found?.auditlogs.prefix;
  if (found === undefined || !isSame) return found;
  scope.fault(node.at, field, '"applogs" and "auditlogs" would write the same files');
  return undefined;
};
const appLogs = logSettings('./logs', 'kore-connector.log');
const readLogger = object({
  applogs: or(appLogs, null),
  auditlogs: or(logSettings('./audits', 'kore-connector-audit.log'), null),
});

/** The application log of a main file that may have faults elsewhere. */
export const readAppLog: Reader<LogSettings> = (root, field, scope) => {
  const applogs = toMember(toMember(root, 'logger'), 'applogs');
  return applogs && appLogs(applogs, field, scope);
};
/** An object without members where it is left out. */
function toMember(node: JsonNode | undefined, name: string): JsonNode | undefined {
  if (node?.kind !== 'object') return undefined;
  return node.members.get(name)?.value ?? { kind: 'object', at: node.at, members: new Map() };
}
