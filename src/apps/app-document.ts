import { toIsoDate } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { isJsonObject } from '../core/json.ts';
import type { StoredDocument } from '../stores/ports.ts';
import { FIRST_KID } from './keys/key-material.ts';
import { toAppKeyView } from './keys/key-view.ts';
import { type App, type AppView, storedApp } from './schemas.ts';

/** @throws AppError `internal` when the store holds something else than an app */
export function parseApp({ id, body }: StoredDocument): App {
  const parsed = storedApp.safeParse(toPresentForm(JSON.parse(body)));
  if (!parsed.success)
    throw new AppError('internal', { detail: `the stored app ${id} cannot be read`, cause: parsed.error });
  return { ...parsed.data, clientId: id };
}

/** An app as a document's body. */
export function toBody({ clientId: _, ...stored }: App): string {
  return JSON.stringify(stored);
}

/** An app without its secrets. */
export function toAppView({ keys, createdAt, updatedAt, ...app }: App): AppView {
  const publicKey = keys.at(-1)?.publicKey;
  return {
    ...app,
    ...(publicKey !== undefined && { publicKey }),
    keys: keys.map(toAppKeyView),
    createdAt: toIsoDate(createdAt),
    updatedAt: toIsoDate(updatedAt),
  };
}

/** Apps that were registered when they had but one key have it beside their other members. */
function toPresentForm(stored: unknown): unknown {
  if (!isJsonObject(stored) || Object.hasOwn(stored, 'keys')) return stored;
  const { sealedSecret, publicKey, ...app } = stored;
  const { createdAt } = app;
  return { ...app, keys: [{ kid: FIRST_KID, createdAt, activatesAt: createdAt, sealedSecret, publicKey }] };
}
