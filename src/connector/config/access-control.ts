import { checkPathEntry } from '../../tunnel/paths.ts';
import {
  MAX_METHODS_PER_RULE,
  MAX_PATHS_PER_RULE,
  MAX_RULE_NAME_LENGTH,
  MAX_RULES,
  TableError,
  toTableJson,
} from '../../tunnel/table.ts';
import { type ApplicationTls, type Mapping, toAccessRule } from './agent-config.ts';
import { readHost, toAuthority } from './hosts.ts';
import type { JsonNode } from './json-positions.ts';
import { authoritiesFile, certificateFile, chainFile, isKeyOf, keyFile } from './named-files.ts';
import { flag, list, may, must, object, oneOf, or, port, type Reader, take, text, wholeNumber } from './shape.ts';

/** The longest that an application may take to answer, in seconds. */
export const MAX_TIMEOUT_SECONDS = 3_600;
const DEFAULT_PORTS = { http: 80, https: 443 } as const;
const ALL_PATHS = '/*';

const path = text((entry) => {
  if (entry.includes('?')) throw new Error('a path is given without parameters, up to the "?"');
  checkPathEntry(entry);
  return entry;
});
const pathList = list(path, 1, MAX_PATHS_PER_RULE);
const allowedPaths: Reader<typeof ALL_PATHS | readonly string[]> = (node, field, scope) => {
  if (node.kind === 'array') return pathList(node, field, scope);
  if (node.kind === 'string' && node.value === ALL_PATHS) return ALL_PATHS;
  scope.fault(node.at, field, 'must be "/*" or a list of paths, ["/api/*", "/status"]');
  return undefined;
};

const method = text((value) => {
  const name = value.toUpperCase();
  if (name === 'CONNECT') throw new Error('CONNECT cannot be allowed: paths cannot be checked inside it');
  if (!/^[A-Z]{1,20}(?:-[A-Z]{1,20})*$/.test(name))
    throw new Error('must be methods such as "GET"; leave it out for all');
  return name;
});

const name = text((value) => {
  if (value.length > MAX_RULE_NAME_LENGTH) {
    throw new Error(`must have at most ${MAX_RULE_NAME_LENGTH} characters`);
  }
  return value.trim();
});

const readTls = object({
  ca: may(authoritiesFile()),
  serverName: may(text(readHost)),
  key: may(keyFile()),
  cert: may(certificateFile()),
  chain: may(chainFile),
  minVersion: may(oneOf(['TLSv1.2', 'TLSv1.3'])),
});
const tls: Reader<ApplicationTls> = (node, field, scope) => {
  const found = readTls(node, field, scope);
  if (found === undefined) return undefined;
  const { chain, ...rest } = found;
  const { key, cert } = rest;
  if ((key === undefined) !== (cert === undefined)) {
    scope.fault(node.at, field, '"key" and "cert" need each other');
    return undefined;
  }
  if (key === undefined || cert === undefined) {
    if (chain !== undefined) scope.fault(node.at, `${field}.chain`, 'is needless without "cert"');
    return chain === undefined ? rest : undefined;
  }
  if (!isKeyOf(key, cert)) {
    scope.fault(node.at, `${field}.cert`, 'the certificate was made for another key than "key"');
    return undefined;
  }
  return { ...rest, cert: chain === undefined ? cert : `${cert.trimEnd()}\n${chain}` };
};

const readFields = object({
  name: may(name),
  virtualhost: must(text(readHost)),
  virtualport: may(port),
  internalhost: must(text(readHost)),
  internalport: may(port),
  protocol: must(oneOf(['http', 'https'])),
  allowedPaths: must(allowedPaths),
  allowedMethods: may(list(method, 1, MAX_METHODS_PER_RULE)),
  upgrade: or(flag, false),
  allowEncodedSlash: or(flag, false),
  timeoutSeconds: may(wholeNumber(1, MAX_TIMEOUT_SECONDS, 'a number of seconds')),
  tls: may(tls),
});

const readMapping: Reader<Mapping> = (node, field, scope) => {
  const found = readFields(node, field, scope);
  if (found === undefined) return undefined;
  const { name: given, virtualhost, virtualport, internalhost, internalport, protocol, ...rest } = found;
  if (rest.tls !== undefined && protocol === 'http') {
    scope.fault(node.at, 'tls', 'is for "protocol": "https" only');
    return undefined;
  }
  return {
    name: given ?? virtualhost,
    virtualHost: virtualhost,
    virtualPort: virtualport ?? DEFAULT_PORTS[protocol],
    internalHost: internalhost,
    internalPort: internalport ?? DEFAULT_PORTS[protocol],
    protocol,
    ...rest,
  };
};

/** Where a mapping's virtual host stands. */
const toHostAt = (node: JsonNode): number =>
  (node.kind === 'object' ? node.members.get('virtualhost')?.value.at : undefined) ?? node.at;

/** What stands in `accesscontrol.json` (seed: "Access control for applications"); `toLine` gives the line of an index. */
export function readAccessControl(toLine: (at: number) => number): Reader<readonly Mapping[]> {
  return (node, field, scope) => {
    const items = take('array', node, field, scope)?.items;
    if (items === undefined) return undefined;
    if (items.length > MAX_RULES) scope.fault(node.at, field, `at most ${MAX_RULES} applications can be mapped`);
    const firstAt = new Map<string, number>();
    const mappings: Mapping[] = [];
    for (const item of items.slice(0, MAX_RULES)) {
      const mapping = readMapping(item, field, scope);
      if (mapping === undefined) continue;
      const authority = toAuthority(mapping.virtualHost, mapping.virtualPort);
      const former = firstAt.get(authority);
      if (former === undefined) firstAt.set(authority, toHostAt(item));
      else scope.fault(toHostAt(item), 'virtualhost', `${authority} is mapped in line ${toLine(former)} already`);
      mappings.push(mapping);
    }
    if (mappings.length < items.length || firstAt.size < items.length) return undefined;
    try {
      toTableJson(mappings.map(toAccessRule));
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      scope.fault(node.at, field, `no gateway would take these applications: ${error.message}`);
      return undefined;
    }
    return mappings;
  };
}
