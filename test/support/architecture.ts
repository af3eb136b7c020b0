import { posix } from 'node:path';
import { findSpecifiers, hasComputedImport, stripComments } from './source-text.ts';

/** A source folder as text: paths below the root with forward slashes, `src/core/clock.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** Which rooms a room may import. `stores/ports` means that one file of `stores`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[] | 'anything'>> = {
  core: [],
  client: [],
  config: ['core'],
  jose: ['core'],
  tunnel: ['core'],
  http: ['core'],
  vault: ['core'],
  stores: ['core'],
  apps: ['core', 'jose', 'vault', 'stores/ports', 'http'],
  issuer: ['core', 'jose', 'http'],
  idproxy: ['core', 'jose', 'vault', 'stores/ports', 'apps', 'http'],
  sessions: ['core', 'jose', 'vault', 'stores/ports', 'apps', 'http'],
  gateway: ['core', 'tunnel', 'vault', 'stores/ports', 'http'],
  connector: ['core', 'tunnel'],
  console: ['core', 'apps', 'http'],
  welcome: ['core', 'http'],
  'welcome/web': [],
  'console/web': [],
  main: 'anything',
  cli: 'anything',
};

interface Place {
  readonly what: string;
  /** Found in the code without comments, or among the imported names. */
  readonly code?: RegExp;
  readonly specifier?: RegExp;
  /** Paths where it may appear; none where it is left out. */
  readonly allowed?: RegExp;
}

/** The edges of the two programs: the whole one, and the agent that is packaged. */
const MAIN = /^src\/(?:main|connector-main)\.ts$/;

const PLACES: readonly Place[] = [
  { what: 'express', specifier: /^express(?:\/|$)/, allowed: /^src\/(?:http\/.+|[^/]+\/routes(?:\/.+)?)\.ts$/ },
  { what: 'ioredis', specifier: /^ioredis(?:\/|$)/, allowed: /^src\/stores\/redis[^/]*(?:\/.+)?\.ts$/ },
  {
    what: '@photostructure/sqlite',
    specifier: /^(?:@photostructure\/sqlite|node:sqlite)(?:\/|$)/,
    allowed: /^src\/stores\/embedded[^/]*(?:\/.+)?\.ts$/,
  },
  { what: 'ws', specifier: /^ws(?:\/|$)/, allowed: /^src\/sessions\/socket\/.+\.ts$/ },
  { what: 'dotenv', specifier: /^dotenv(?:\/|$)/, allowed: MAIN },
  { what: 'process.env', code: /\bprocess\s*\??\.\s*env\b|\bprocess\s*\[\s*['"`]env\b/, allowed: MAIN },
  { what: 'an import of process', specifier: /^(?:node:)?process$/, allowed: MAIN },
  {
    what: 'the wall clock',
    code: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())|(?<!new\s)(?<![\w.])Date\s*\(\s*\)/,
    // The client ships without `core`.
    allowed: /^src\/(?:core\/clock|client\/platform)\.ts$/,
  },
  { what: 'Math.random', code: /\bMath\s*\.\s*random\b/ },
  { what: 'a default export', code: /\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/ },
];

/** The one place that loads what an operator names. */
const MAY_COMPUTE = /^src\/cli\/load-bot\.ts$/;

const MAX_LINES = 250;
const FILE_NAME = /^[a-z\d]+(?:-[a-z\d]+)*(?:\.[a-z\d]+)+$/;
const FOLDER_NAME = /^[a-z\d]+(?:-[a-z\d]+)*$/;
const NAMELESS = /(?:^|[-.])(?:util|utils|helper|helpers|common|misc)(?:[-.]|$)/;

function toRoom(path: string): string {
  if (MAIN.test(path)) return 'main';
  const [, room = '', folder] = path.split('/');
  return folder === 'web' ? `${room}/web` : room;
}

/** The path that a relative import names, or undefined for a package. */
function toTarget(path: string, specifier: string): string | undefined {
  return /^\.{0,2}\//.test(specifier) ? posix.join(posix.dirname(path), specifier) : undefined;
}

function isAllowed(from: string, target: string): boolean {
  const [fromRoom, toRoomName] = [toRoom(from), toRoom(target)];
  const may = Object.hasOwn(MAY_IMPORT, fromRoom) ? MAY_IMPORT[fromRoom] : undefined;
  if (may === undefined || may === 'anything' || fromRoom === toRoomName) return may !== undefined;
  return may.includes(toRoomName) || (may.includes('stores/ports') && target === 'src/stores/ports.ts');
}

function checkNames(path: string): string[] {
  const names = path.split('/');
  const file = names.at(-1) ?? '';
  const isKebab = FILE_NAME.test(file) && names.slice(0, -1).every((name) => FOLDER_NAME.test(name));
  const complaints = isKebab ? [] : [`${path}: not kebab-case`];
  if (names.some((name) => NAMELESS.test(name))) complaints.push(`${path}: a name that says nothing`);
  return complaints;
}

function checkImports(path: string, code: string, sources: Sources): string[] {
  const isComputed = hasComputedImport(code) && !MAY_COMPUTE.test(path);
  const complaints = isComputed ? [`${path}: imports something whose name is computed`] : [];
  for (const specifier of findSpecifiers(code)) {
    const target = toTarget(path, specifier);
    if (target === undefined) continue;
    if (!sources.has(target)) complaints.push(`${path}: imports ${target}, which is not there`);
    else if (!isAllowed(path, target)) complaints.push(`${path}: may not import ${target}`);
  }
  return complaints;
}

function checkPlaces(path: string, code: string): string[] {
  const specifiers = findSpecifiers(code);
  return PLACES.filter(({ allowed }) => allowed?.test(path) !== true)
    .filter((place) => place.code?.test(code) === true || specifiers.some((one) => place.specifier?.test(one) === true))
    .map(({ what }) => `${path}: ${what} does not belong here`);
}

/** Each cycle once, written from the file where it was entered. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const entered = trail.indexOf(path);
    if (entered !== -1) cycles.push(`cycle: ${[...trail.slice(entered), path].join(' → ')}`);
    if (entered !== -1 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
}

/** Everything in `sources` that the architecture does not allow, one line each. */
export function checkArchitecture(sources: Sources): string[] {
  const complaints: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [path, source] of sources) {
    complaints.push(...checkNames(path));
    if (!path.endsWith('.ts')) continue;
    const code = stripComments(source);
    const lineCount = source.replace(/\n$/, '').split('\n').length;
    if (lineCount > MAX_LINES) complaints.push(`${path}: ${lineCount} lines, at most ${MAX_LINES}`);
    if (!Object.hasOwn(MAY_IMPORT, toRoom(path))) complaints.push(`${path}: no room of the architecture`);
    complaints.push(...checkImports(path, code, sources), ...checkPlaces(path, code));
    const targets = findSpecifiers(code).map((specifier) => toTarget(path, specifier));
    graph.set(
      path,
      targets.filter((target) => target !== undefined),
    );
  }
  return [...complaints, ...findCycles(graph)];
}
