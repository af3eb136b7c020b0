import type { Clock } from '../core/clock.ts';
import { createApiKeyCheck } from './callers/api-key.ts';
import type { CallerCheck } from './callers/caller.ts';
import { createForwardAuthCheck } from './callers/forward-auth.ts';
import { createOidcCheck } from './callers/oidc.ts';
import { createOpenCheck } from './callers/open.ts';
import type { CallerAuth } from './settings.ts';
import type { UpstreamDeps } from './upstream.ts';

export interface CallerAuthDeps extends UpstreamDeps {
  readonly clock: Clock;
}

type Factories = {
  readonly [Mode in CallerAuth['mode']]: (settings: CallerAuth & { mode: Mode }, deps: CallerAuthDeps) => CallerCheck;
};

/** Who may have a token signed for whom, by mode. */
const MODES: Factories = {
  open: ({ isNetworkAllowed }) => createOpenCheck(isNetworkAllowed),
  'api-key': ({ keys }) => createApiKeyCheck(keys),
  'forward-auth': ({ url, identity }, deps) => createForwardAuthCheck(deps, url, identity),
  oidc: (settings, deps) => createOidcCheck(deps, settings),
};

/**
 * The check of the configured mode.
 * @throws SettingsError when the API keys cannot be read
 */
export function createCallerCheck(settings: CallerAuth, deps: CallerAuthDeps): CallerCheck {
  const create = MODES[settings.mode] as (settings: CallerAuth, deps: CallerAuthDeps) => CallerCheck;
  return create(settings, deps);
}
