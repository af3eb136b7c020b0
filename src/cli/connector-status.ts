import type { AgentStatus as WorkerAgent, ConnectionStatus } from '../connector/agent.ts';
import type { AgentStatus } from '../connector/cluster/status-file.ts';
import { toIsoDate } from '../core/clock.ts';

/** The status of a running agent for people: a line for the agent, one for each worker and each of its connections. */
export function toStatusText(status: AgentStatus): string {
  const { state, pid, version, connector, startedAt, updatedAt, workers, audit } = status;
  return [
    `${state}: connector ${connector}, version ${version}, process ${pid}, since ${startedAt}`,
    ...workers.flatMap((worker) => [
      `worker ${worker.worker}: ${worker.state} since ${worker.since}${toRestarts(worker.restarts)}`,
      ...toConnections(worker.agent as WorkerAgent | undefined),
    ]),
    `audit log: ${audit.count} lines, hash ${audit.hash}${toTrouble(audit)}`,
    `as of ${updatedAt}`,
  ].join('\n');
}

const toRestarts = (restarts: number): string => (restarts === 0 ? '' : `, started again ${restarts} times`);

const toConnections = (agent: WorkerAgent | undefined): string[] =>
  (agent?.connections ?? []).map((connection) => `  ${toConnection(connection)}`);

function toConnection({ state, url, node, connectedAt, fault }: ConnectionStatus): string {
  const where = url === undefined ? '' : ` ${url}${node === undefined ? '' : ` (${node})`}`;
  const since = connectedAt === undefined ? '' : ` since ${toIsoDate(connectedAt)}`;
  return `${state}${where}${since}${fault === undefined ? '' : `: ${fault}`}`;
}

const toTrouble = ({ waiting, isWritable }: AgentStatus['audit']): string =>
  isWritable ? '' : `; CANNOT BE WRITTEN, ${waiting} lines wait`;
