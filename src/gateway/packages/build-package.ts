import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';

import type { PackageEntry } from './package-entry.ts';
import { toTar } from './tar.ts';
import { toZip } from './zip.ts';

const compress = promisify(gzip);

/** The systems that a package is made for. */
export const PACKAGE_SYSTEMS = ['linux', 'windows'] as const;
export type PackageSystem = (typeof PACKAGE_SYSTEMS)[number];

/** What a download holds beside the agent itself. Left out of a package that is for everyone. */
export interface PackageAddition {
  readonly connectorId: string;
  /** Whom the agent trusts, PEM. */
  readonly caPem: string;
  /** Where the gateways are, `https://gateway.example:8443`. */
  readonly gatewayUrls: readonly string[];
}

export interface PackageRequest {
  readonly os: PackageSystem;
  readonly addition?: PackageAddition;
  /** Folder and file are called by it. The agent's own name where it is left out. */
  readonly name?: string;
}

/** A package as it is downloaded. */
export interface BuiltPackage {
  readonly fileName: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** The agent as the build leaves it, beside the compiled program. */
const TEMPLATE_FOLDER = fileURLToPath(new URL('../../connector-package/', import.meta.url));
const PACKAGE_NAME = /^[a-z\d][a-z\d._-]{0,39}$/i;

/** Folders that are there from the start. SECURITY: keys and messages that wait are for the agent's user alone. */
const FOLDERS: Readonly<Record<string, number>> = {
  'credentials/': 0o700,
  'spool/': 0o700,
  'run/': 0o750,
  'logs/': 0o750,
  'audits/': 0o750,
};

async function readTemplate(folder: string): Promise<Map<string, Buffer>> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
    .map((path) => path.split(sep).join('/').replace(/^\//, ''));
  const bodies = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return new Map(names.map((name, index) => [name, bodies[index] ?? Buffer.alloc(0)]));
}

function toGatewayFile({ connectorId, gatewayUrls }: PackageAddition): string {
  return `${JSON.stringify({ id: connectorId, urls: gatewayUrls }, undefined, 2)}\n`;
}

function toEntries(files: ReadonlyMap<string, Buffer>, top: string): PackageEntry[] {
  const entries = [...files].map(([path, body]) => ({
    path: `${top}/${path}`,
    mode: path.endsWith('.sh') ? 0o755 : 0o644,
    body,
  }));
  const folders = Object.entries(FOLDERS).map(([path, mode]) => ({
    path: `${top}/${path}`,
    mode,
    body: Buffer.alloc(0),
  }));
  // By code unit, so that every machine packs in the same order, and a folder before what it holds.
  return [...entries, ...folders].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Makes the packages of the agent that the build left in `templateFolder`. */
export function createPackageBuilder(
  templateFolder: string = TEMPLATE_FOLDER,
): (request: PackageRequest) => Promise<BuiltPackage> {
  return async ({ os, addition, name: wanted }) => {
    const files = await readTemplate(templateFolder);
    const { name: own, version } = JSON.parse(String(files.get('lib/package.json'))) as Record<string, string>;
    const name = wanted ?? own ?? '';
    if (!PACKAGE_NAME.test(name)) throw new TypeError(`not a name of a package: ${JSON.stringify(name)}`);
    if (addition !== undefined) {
      files.set('config/gateway.json', Buffer.from(toGatewayFile(addition)));
      files.set('credentials/ca.crt', Buffer.from(addition.caPem));
    }
    const entries = toEntries(files, name);
    if (os === 'windows') {
      const bytes = await toZip(entries);
      return { fileName: `${name}-${version}.zip`, contentType: 'application/zip', bytes };
    }
    const bytes = await compress(toTar(entries), { level: constants.Z_BEST_COMPRESSION });
    return { fileName: `${name}-${version}.tar.gz`, contentType: 'application/gzip', bytes };
  };
}

/** Makes a package of the agent that was built with this program. */
export const buildPackage = createPackageBuilder();
