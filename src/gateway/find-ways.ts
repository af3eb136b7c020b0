import { AppError, toAppError } from '../core/errors.ts';
import { type AccessQuestion, checkRequest } from '../tunnel/access.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import type { Caller } from './connector.ts';
import { type Roster, toAddress } from './roster.ts';
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
  readonly directory: Pick<ConnectorDirectory, 'findConnector' | 'list' | 'refreshOnMiss'>;
  readonly roster: Pick<Roster, 'findByAddress' | 'findByConnector'>;
  readonly remote: RemoteWays;
}

/** How soon a caller may try again where no agent is connected, in seconds. */
export const RETRY_AFTER_SECONDS = 5;

const unavailable = (detail: string): AppError =>
  new AppError('connector_unavailable', { detail, values: { seconds: RETRY_AFTER_SECONDS } });

/**
 * Finds the ways of a call through agents that are connected here.
 * @returns undefined where none is, and another node may know one
 * @throws AppError application_unknown, path_forbidden, invalid_request, connector_forbidden, connector_unavailable
 */
export function findLocalWays(deps: FindWaysDeps, call: Call): Ways | undefined {
  const { roster } = deps;
  const { caller, connectorId } = call;
  if (connectorId !== undefined && caller.connectors?.includes(connectorId) === false) {
    throw new AppError('connector_forbidden');
  }
  const agents = roster.findByAddress(call.host, call.port).filter((agent) => mayUse(deps, call, agent.connectorId));
  const [first] = agents;
  if (first === undefined) {
    return undefined;
  }
  // SECURITY: two companies may call different applications by one name.
  if (agents.some((agent) => agent.connectorId !== first.connectorId)) {
    throw new AppError('invalid_request', {
      values: { detail: 'several connectors know this host: name one by X-Connector' },
    });
  }
  return { connectorId: first.connectorId, ways: keepAdmitting(agents, call) };
}

/**
 * The same through other nodes, or here after all where it became possible a moment ago.
 * @throws AppError as {@link findLocalWays}, connector_unavailable where there is none
 */
export async function findOtherWays(deps: FindWaysDeps, call: Call, isHereUsedUp: boolean): Promise<Ways> {
  const { caller, connectorId } = call;
  await deps.directory.refreshOnMiss();
  const here = isHereUsedUp ? undefined : findLocalWays(deps, call);
  if (here !== undefined) return here;
  if (connectorId !== undefined) checkConnector(deps, connectorId);
  const ids = connectorId === undefined ? listUsableConnectors(deps, caller) : [connectorId];
  if (ids.length === 0) throw unavailable('no connector is enabled for this caller');
  const address = toAddress(call.host, call.port);
  const found = await Promise.all(
    ids.map(async (id) => ({ connectorId: id, ways: await deps.remote.find(id, address) })),
  );
  const [first, second] = found.filter(({ ways }) => ways.length > 0);
  if (second !== undefined) {
    throw new AppError('invalid_request', {
      values: { detail: 'several connectors know this host: name one by X-Connector' },
    });
  }
  if (first !== undefined) return first;
  // Agents that were tried and are gone say nothing of the host.
  const isConnected = !isHereUsedUp && ids.some((id) => deps.roster.findByConnector(id).length > 0);
  if (isConnected) checkRequest([], call);
  throw unavailable('no agent is connected');
}

function mayUse({ directory }: FindWaysDeps, { caller, connectorId }: Call, id: string): boolean {
  if (connectorId !== undefined && id !== connectorId) return false;
  if (caller.connectors?.includes(id) === false) return false;
  return directory.findConnector(id)?.enabled === true;
}

/** The ids of the enabled connectors that a caller may use. @throws AppError `store_unavailable` */
export function listUsableConnectors(
  { directory }: Pick<FindWaysDeps, 'directory'>,
  { connectors }: Caller,
): readonly string[] {
  return directory
    .list()
    .filter(({ id, enabled }) => enabled && connectors?.includes(id) !== false)
    .map(({ id }) => id);
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
