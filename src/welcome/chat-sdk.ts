import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const PACKAGE = 'kore-web-sdk';
const SCRIPT = `${PACKAGE}/dist/umd/kore-web-sdk-umd-chat.min.js`;
/** What may stand in a path and in an attribute as it is. */
const VERSION = /^[\w.+-]+$/;

/** The published chat SDK as it is installed. */
export interface ChatSdk {
  readonly version: string;
  readonly script: Buffer;
}

/**
 * Reads the chat SDK out of the package that Node finds from `from`, the URL of a module. It is a package for
 * development: an image without those has none.
 * @returns undefined where it is not installed
 * @throws TypeError when its version cannot stand in a path; whatever reading it throws
 */
export function findChatSdk(from: string = import.meta.url): ChatSdk | undefined {
  const { resolve } = createRequire(from);
  let paths;
  try {
    paths = { manifest: resolve(`${PACKAGE}/package.json`), script: resolve(SCRIPT) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
  const { version } = JSON.parse(readFileSync(paths.manifest, 'utf8')) as { version?: unknown };
  if (typeof version !== 'string' || !VERSION.test(version)) throw new TypeError(`${PACKAGE} has no version`);
  return { version, script: readFileSync(paths.script) };
}
