import { AppError } from '../../core/errors.ts';
import { readBearer } from '../../http/credentials.ts';
import { type KeyList, KeyListError, parseKeyList } from '../../http/key-list.ts';
import { SettingsError } from '../settings.ts';
import type { CallerCheck } from './caller.ts';

/**
 * Callers with a key, sent as `Authorization: Bearer …` or `X-Api-Key: …`, may name any identity.
 * @param text - lines `label:sha256`
 * @throws SettingsError that names the line
 */
export function createApiKeyCheck(text: string): CallerCheck {
  const keys = parseApiKeys(text);
  return async function checkApiKey(req) {
    const { authorization, 'x-api-key': header } = req.headers;
    const given = readBearer(req) ?? header;
    if (given === undefined && authorization === undefined) return { kind: 'nobody', reason: 'credential_missing' };
    const label = typeof given === 'string' ? keys.find(given) : undefined;
    if (label === undefined) throw new AppError('credential_invalid', { detail: 'no API key is this one' });
    return { kind: 'any', label };
  };
}

function parseApiKeys(text: string): KeyList {
  let keys: KeyList;
  try {
    keys = parseKeyList(text);
  } catch (error) {
    throw error instanceof KeyListError ? new SettingsError(`the API keys file: ${error.message}`) : error;
  }
  if (keys.size === 0) throw new SettingsError('the API keys file has no key: nobody could ask');
  return keys;
}
