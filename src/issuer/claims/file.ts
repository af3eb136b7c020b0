import { readFile, stat } from 'node:fs/promises';

import { isJsonObject, type JsonObject, JsonError, parseJsonObject } from '../../core/json.ts';
import type { Logger } from '../../http/access-log.ts';
import { SettingsError } from '../settings.ts';
import type { ClaimsSource } from './source.ts';

/** The entry for everyone who has none. */
const EVERYONE_ELSE = '*';

/** A version of the file, and what it held. */
interface Version {
  readonly stamp: string;
  readonly claims: JsonObject;
}

/**
 * Private claims from a JSON object of identity → claims, `*` for everyone else. Looked at before every use and read
 * again when it changed; a broken file is an error in the log, and the last good one counts.
 * @throws SettingsError when the first reading fails
 */
export async function loadClaimsFile(path: string, logger: Logger): Promise<ClaimsSource> {
  let good = await readVersion(path, await readStamp(path));
  let seen = good.stamp;
  let pending: Promise<void> | undefined;

  const refresh = async (): Promise<void> => {
    let stamp = 'unreadable';
    try {
      stamp = await readStamp(path);
      if (stamp !== seen) good = await readVersion(path, stamp);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      if (stamp !== seen) logger.error({ problem: error.message }, 'the last good private claims stay in use');
    }
    seen = stamp;
  };

  return async (identity) => {
    pending ??= refresh().finally(() => {
      pending = undefined;
    });
    await pending;
    const name = Object.hasOwn(good.claims, identity) ? identity : EVERYONE_ELSE;
    return Object.hasOwn(good.claims, name) ? (good.claims[name] as JsonObject) : undefined;
  };
}

/** What changes whenever the file does: when, how large, and which file it is (a rename puts another one there). */
async function readStamp(path: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch (error) {
    throw unreadable(error);
  }
}

async function readVersion(path: string, stamp: string): Promise<Version> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(error);
  }
  return { stamp, claims: parseClaimsFile(text) };
}

function parseClaimsFile(text: string): JsonObject {
  let claims: JsonObject;
  try {
    claims = parseJsonObject(text);
  } catch (error) {
    throw error instanceof JsonError ? new SettingsError(`the private claims file ${error.message}`) : error;
  }
  if (!Object.values(claims).every(isJsonObject)) {
    throw new SettingsError('the private claims file has an identity whose claims are not an object');
  }
  return claims;
}

function unreadable(error: unknown): SettingsError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return new SettingsError(`the private claims file cannot be read (${code})`);
}
