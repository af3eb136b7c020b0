import { dirname, join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import { Secret } from '../../core/secret.ts';
import { readAccessControl } from './access-control.ts';
import { type AgentConfig, AgentConfigError, type LogSettings, type Mapping } from './agent-config.ts';
import { type ConfigFiles, createConfigFiles, type FileSnapshot, MAX_CONFIG_BYTES } from './config-files.ts';
import { gatewayUrls, namesGateway, readConnectorConfig, readPackageGateway } from './connector-config.ts';
import { createFaults, type Faults } from './faults.ts';
import { type JsonNode, JsonSyntaxError, parseJsonNodes, toPosition } from './json-positions.ts';
import { readAppLog } from './logger-config.ts';
import type { Reader, Scope } from './shape.ts';

export interface AgentConfigOptions {
  readonly clock: Clock;
  /** The main file, from the installation folder; the others lie beside it. */
  readonly configFile?: string;
  /** Addresses from the environment. Those in the main file come before them, those of the package after. */
  readonly gatewayUrls?: readonly string[];
}

/** What an installation folder says at one moment. */
export interface AgentReading {
  /** Absent where there are faults. */
  readonly config?: AgentConfig;
  readonly faults: readonly string[];
  /** Where to tell the faults; absent where the main file does not say that clearly. */
  readonly appLog?: LogSettings;
  /** Every file that was looked at, by absolute path, whether it is there or not. */
  readonly files: ReadonlyMap<string, FileSnapshot>;
  /** The two files that people edit: absolute paths, and how they are called. */
  readonly edited: ReadonlyMap<string, string>;
}

/** The main file of an installation folder. */
export const DEFAULT_CONFIG_FILE = 'config/connectorconfig.json';
/** Where addresses from the environment come from, for people. */
const URLS_VARIABLE = 'COUNTERSIGN_CONNECTOR_GATEWAY_URLS';

/**
 * The frozen configuration of an agent.
 * @throws AgentConfigError that lists every fault of every file
 */
export function loadAgentConfig(folder: string, options: AgentConfigOptions): AgentConfig {
  const { config, faults } = readAgentConfig(folder, options);
  if (config === undefined) throw new AgentConfigError(faults);
  return config;
}

/** The same with everything that a watcher needs to know. Never throws. */
export function readAgentConfig(folder: string, options: AgentConfigOptions): AgentReading {
  const files = createConfigFiles(folder);
  const mainPath = files.toPath(options.configFile ?? DEFAULT_CONFIG_FILE);
  const accessPath = join(dirname(mainPath), 'configs', 'accesscontrol.json');
  const packagePath = join(dirname(mainPath), 'gateway.json');
  const faults = createFaults();
  const warnings = createFaults();
  const texts = new Map<string, string>();
  const toPlace = (file: string, at: number): string => {
    const { line, column } = toPosition(texts.get(file) ?? '', at);
    return `${file}:${line}:${column}`;
  };

  const readFile = <T>(path: string, read: Reader<T>): { root?: JsonNode; value?: T } => {
    const file = files.toName(path);
    const text = readText(files.read(path, MAX_CONFIG_BYTES), (sentence) => faults.add(file, undefined, '', sentence));
    if (text === undefined) return {};
    texts.set(file, text);
    const root = parse(text, file, faults);
    if (root === undefined) return {};
    const value = read(root, '', createScope(file, files, faults, warnings, options.clock));
    return value === undefined ? { root } : { root, value };
  };

  const main = readFile(mainPath, readConnectorConfig);
  const access = readFile(
    accessPath,
    readAccessControl((at) => toPosition(texts.get(files.toName(accessPath)) ?? '', at).line),
  );
  const isPackaged = !files.read(packagePath, MAX_CONFIG_BYTES).isMissing;
  const origin = isPackaged ? readFile(packagePath, readPackageGateway).value : undefined;
  const given = main.value?.gateway?.urls ?? readGivenUrls(options, files, faults);
  const urls = given ?? origin?.urls;
  const isUnknown = main.root !== undefined && !namesGateway(main.root) && urls === undefined && !isPackaged;
  if (isUnknown && options.gatewayUrls === undefined) {
    const example = '{"urls":["https://gateway.example:8443"]}';
    faults.add(files.toName(mainPath), main.root?.at, 'gateway', `is missing; add "gateway": ${example}`);
  }
  const foreign =
    origin?.id !== undefined && main.value !== undefined && origin.id !== main.value.credentials.connectorId;
  if (foreign) {
    const sentence = `the certificate is of ${main.value?.credentials.connectorId}, this package of ${origin.id}`;
    faults.add(files.toName(mainPath), undefined, 'credentials.cert', sentence);
  }

  const edited = new Map([mainPath, accessPath].map((path) => [path, files.toName(path)]));
  const silent = createScope('', files, createFaults(), createFaults(), options.clock);
  const appLog = main.root && readAppLog(main.root, '', silent);
  const seen = { faults: faults.toLines(toPlace), ...(appLog && { appLog }), files: files.snapshots, edited };
  if (faults.count > 0 || main.value === undefined || access.value === undefined || urls === undefined) return seen;
  const config = toAgentConfig(main.value, access.value, urls, warnings.toLines(toPlace));
  return { ...seen, config };
}

function createScope(file: string, files: ConfigFiles, faults: Faults, warnings: Faults, clock: Clock): Scope {
  return {
    fault: (at, field, sentence) => faults.add(file, at, field, sentence),
    warn: (at, field, sentence) => warnings.add(file, at, field, sentence),
    files,
    nowSeconds: clock.nowSeconds(),
  };
}

function readText({ content, fault }: FileSnapshot, complain: (sentence: string) => void): string | undefined {
  if (content === undefined) {
    complain(fault ?? 'cannot be read');
    return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    const isUtf16 = /^(?:fffe|feff)$/.test(content.subarray(0, 2).toString('hex'));
    complain(isUtf16 ? 'is UTF-16; save it as UTF-8' : 'is not UTF-8');
    return undefined;
  }
}

function parse(text: string, file: string, faults: Faults): JsonNode | undefined {
  try {
    return parseJsonNodes(text, (at, name) => faults.add(file, at, name.slice(0, 100), 'stands here twice'));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    faults.add(file, error.at, '', error.message);
    return undefined;
  }
}

/** Addresses from the environment, checked as those in a file are. */
function readGivenUrls(options: AgentConfigOptions, files: ConfigFiles, faults: Faults): readonly string[] | undefined {
  if (options.gatewayUrls === undefined) return undefined;
  const items = options.gatewayUrls.map((value): JsonNode => ({ kind: 'string', at: 0, value }));
  const scope: Scope = {
    fault: (_, __, sentence) => faults.add(URLS_VARIABLE, undefined, '', sentence),
    warn: () => undefined,
    files,
    nowSeconds: options.clock.nowSeconds(),
  };
  return gatewayUrls({ kind: 'array', at: 0, items }, '', scope);
}

type MainFile = NonNullable<ReturnType<typeof readConnectorConfig>>;

function toAgentConfig(
  main: MainFile,
  mappings: readonly Mapping[],
  urls: readonly string[],
  warnings: readonly string[],
): AgentConfig {
  return freeze({
    credentials: main.credentials,
    logs: { app: main.logger.applogs, audit: main.logger.auditlogs },
    cluster: main.cluster,
    ...(main.tunnel && { proxy: main.tunnel }),
    gatewayUrls: urls,
    ...(main.webhooks && { webhooks: main.webhooks }),
    mappings,
    warnings,
  });
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Secret || Object.isFrozen(value)) return value;
  Object.values(value).forEach(freeze);
  return Object.freeze(value);
}
