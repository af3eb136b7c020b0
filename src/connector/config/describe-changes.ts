import { sha256Hex, Secret } from '../../core/secret.ts';
import type { AgentConfig, Mapping } from './agent-config.ts';
import { toAuthority } from './hosts.ts';

/** What differs between two configurations, one sentence each. Secrets and PEM texts are not quoted. */
export interface ConfigChanges {
  /** In force at once. */
  readonly applied: readonly string[];
  /** In force at the next start. */
  readonly atRestart: readonly string[];
  /** Both, for the audit log. */
  readonly auditLines: readonly string[];
}

/** A setting as it is called in its file, and whether the agent must be started anew for it. */
interface Setting {
  readonly name: string;
  readonly get: (config: AgentConfig) => unknown;
  readonly needsRestart?: boolean;
}

const SETTINGS: readonly Setting[] = [
  { name: 'credentials.key', get: ({ credentials }) => credentials.key },
  { name: 'credentials.cert', get: ({ credentials }) => new Secret(credentials.cert) },
  { name: 'credentials.ca', get: ({ credentials }) => new Secret(credentials.ca) },
  { name: 'logger.applogs.level', get: ({ logs }) => logs.app.level },
  { name: 'logger.auditlogs.level', get: ({ logs }) => logs.audit.level },
  { name: 'logger.applogs', get: ({ logs }) => ({ ...logs.app, level: undefined }), needsRestart: true },
  { name: 'logger.auditlogs', get: ({ logs }) => ({ ...logs.audit, level: undefined }), needsRestart: true },
  { name: 'cluster', get: ({ cluster }) => cluster, needsRestart: true },
  { name: 'tunnel', get: ({ proxy }) => proxy },
  { name: 'gateway.urls', get: ({ gatewayUrls }) => gatewayUrls },
  { name: 'webhooks.port', get: ({ webhooks }) => webhooks?.port, needsRestart: true },
  { name: 'webhooks.routes', get: ({ webhooks }) => webhooks?.routes },
];

export function describeChanges(from: AgentConfig, to: AgentConfig): ConfigChanges {
  const applied: string[] = [];
  const atRestart: string[] = [];
  for (const { name, get, needsRestart = false } of SETTINGS) {
    const change = describeChange(name, get(from), get(to));
    if (change === undefined) continue;
    if (needsRestart) atRestart.push(`${change}; takes effect at the next start`);
    else applied.push(change);
  }
  applied.push(...describeMappings(from.mappings, to.mappings));
  return { applied, atRestart, auditLines: [...applied, ...atRestart] };
}

const toKey = ({ virtualHost, virtualPort }: Mapping): string => toAuthority(virtualHost, virtualPort);

function describeMappings(from: readonly Mapping[], to: readonly Mapping[]): string[] {
  const former = new Map(from.map((mapping) => [toKey(mapping), mapping]));
  const current = new Map(to.map((mapping) => [toKey(mapping), mapping]));
  const lines = [...former.keys()].filter((key) => !current.has(key)).map((key) => `application ${key} is removed`);
  for (const [key, mapping] of current) {
    const old = former.get(key);
    if (old === undefined) {
      lines.push(`application ${key} is added: ${show(mapping)}`);
      continue;
    }
    const names = [...new Set([...Object.keys(old), ...Object.keys(mapping)])] as (keyof Mapping)[];
    const changes = names.map((name) => describeChange(name, old[name], mapping[name]));
    const found = changes.filter((change) => change !== undefined);
    if (found.length > 0) lines.push(`application ${key}: ${found.join(', ')}`);
  }
  return lines;
}

function describeChange(name: string, from: unknown, to: unknown): string | undefined {
  if (toFingerprint(from) === toFingerprint(to)) return undefined;
  const [before, after] = [show(from), show(to)];
  return before === after ? `${name} is changed` : `${name} is changed from ${before} to ${after}`;
}

/** The longest that one value is shown, in characters. */
const MAX_SHOWN_LENGTH = 500;

function show(value: unknown): string {
  const json = JSON.stringify(value, (name, inner: unknown) => (PEM_NAMES.has(name) ? '[pem]' : inner)) ?? 'nothing';
  return json.length > MAX_SHOWN_LENGTH ? `${json.slice(0, MAX_SHOWN_LENGTH)}…` : json;
}

/** Members of a mapping's `tls` that are whole files. */
const PEM_NAMES = new Set(['ca', 'cert']);

/** A text that differs where the values do. SECURITY: of a secret only its hash, and it is never shown. */
function toFingerprint(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name, inner: unknown) {
    const original = name === '' ? value : this[name];
    return original instanceof Secret ? sha256Hex(original.reveal()) : inner;
  });
}
