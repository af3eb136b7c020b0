import { join } from 'node:path';

import type { Clock } from '../core/clock.ts';
import type { Secret } from '../core/secret.ts';
import { createEmbeddedStore } from './embedded.ts';
import type { Store } from './ports.ts';
import { createRedisStore } from './redis.ts';

/** The file of the embedded store inside the data folder. */
export const DATABASE_FILE = 'countersign.db';

/** Where things are kept. */
export type StoreSettings =
  | { readonly kind: 'embedded'; readonly dataDir: string }
  | { readonly kind: 'redis'; readonly url: Secret; readonly waitReplicas: number };

/** The store that the settings name. */
export function createStore(settings: StoreSettings, clock: Clock, onProblem: (detail: string) => void): Store {
  return settings.kind === 'redis'
    ? createRedisStore({ ...settings, onProblem, clock })
    : createEmbeddedStore({ path: join(settings.dataDir, DATABASE_FILE), clock });
}
