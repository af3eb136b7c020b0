import { AppError, toAppError } from '../core/errors.ts';
import { type AccessQuestion, checkRequest } from '../tunnel/access.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import type { Caller } from './connector.ts';
import type { Roster } from './roster.ts';
import type { RemoteWays, Way } from './way.ts';

/** What is asked for, and by whom. */
export interface Call extends AccessQuestion {
  readonly caller: Caller;
  /** Where the caller names one. */
  readonly connectorId?: string | undefined;
}

/** The ways that a call may take: all of one connector. */
export interface Ways {
  readonly connectorId: string;
  /** Not empty. */
  readonly ways: readonly Way[];
}

export interface FindWaysDeps {
  readonly directory: Pick<ConnectorDirectory, 'findConnector' | 'listEnabled' | 'refreshOnMiss'>;
  readonly roster: Pick<Roster, 'findByConnector'>;
  readonly remote: RemoteWays;
}

/** How soon a caller may try again where no agent is connected, in seconds. */
export const RETRY_AFTER_SECONDS = 5;

const unavailable = (detail: string): AppError =>
  new AppError('connector_unavailable', { detail, values: { seconds: RETRY_AFTER_SECONDS } });

/**
 * Finds the ways of a call through agents that are connected here.
 * @returns undefined where none is, and another node may know one
 * @throws AppError application_unknown, path_forbidden, invalid_request, connector_forbidden
 */
export function findLocalWays(deps: FindWaysDeps, call: Call): Ways | undefined {
  const connectorId = toConnectorId(deps, call);
  if (connectorId === undefined || deps.directory.findConnector(connectorId)?.enabled !== true) return undefined;
  const agents = deps.roster.findByConnector(connectorId);
  return agents.length === 0 ? undefined : { connectorId, ways: keepAdmitting(agents, call) };
}

/**
 * The same through other nodes, or here after all where it became possible a moment ago.
 * @throws AppError as {@link findLocalWays}, connector_unavailable where there is none
 */
export async function findOtherWays(deps: FindWaysDeps, call: Call, isHereUsedUp: boolean): Promise<Ways> {
  await deps.directory.refreshOnMiss();
  const here = isHereUsedUp ? undefined : findLocalWays(deps, call);
  if (here !== undefined) return here;
  const connectorId = toConnectorId(deps, call);
  if (connectorId === undefined) throw unavailable('no connector is enabled for this caller');
  checkConnector(deps, connectorId);
  const ways = await deps.remote.find(connectorId);
  if (ways.length === 0) throw unavailable('no agent is connected');
  return { connectorId, ways };
}

/**
 * SECURITY: of several companies each may call an application of its own by the same name. Where the caller may use more
 * than one connector it says which; whose agents happen to be here decides nothing.
 * @returns undefined where none is enabled
 * @throws AppError connector_forbidden, invalid_request
 */
function toConnectorId(deps: FindWaysDeps, { caller, connectorId }: Call): string | undefined {
  if (connectorId !== undefined) {
    if (caller.connectors?.includes(connectorId) === false) throw new AppError('connector_forbidden');
    return connectorId;
  }
  const [only, ...others] = listUsableConnectors(deps, caller);
  if (others.length === 0) return only;
  throw new AppError('invalid_request', {
    values: { detail: 'this caller may use several connectors: name one by X-Connector' },
  });
}

/** The ids of the enabled connectors that a caller may use. @throws AppError `store_unavailable` */
export function listUsableConnectors(
  { directory }: Pick<FindWaysDeps, 'directory'>,
  { connectors }: Caller,
): readonly string[] {
  const enabled = directory.listEnabled();
  return connectors === undefined ? enabled : enabled.filter((id) => connectors.includes(id));
}

function checkConnector({ directory }: FindWaysDeps, id: string): void {
  const connector = directory.findConnector(id);
  if (connector === undefined) throw unavailable('there is no such connector');
  if (!connector.enabled) throw unavailable('the connector is disabled');
}

/** @throws what the first of them says, where none admits the call */
function keepAdmitting<T extends Way>(ways: readonly T[], call: Call): readonly T[] {
  let refusal: AppError | undefined;
  const admitting = ways.filter(({ table = [] }) => {
    try {
      checkRequest(table, call);
      return true;
    } catch (error) {
      refusal ??= toAppError(error);
      return false;
    }
  });
  if (admitting.length === 0 && refusal !== undefined) throw refusal;
  return admitting;
}
