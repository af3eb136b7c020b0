import { createHash } from 'node:crypto';

/** A Lua script and the SHA-1 under which Redis knows it once it is loaded. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

/** A script of these parts, one after the other. */
export function createScript(...parts: readonly string[]): Script {
  const lua = parts.join('\n');
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
