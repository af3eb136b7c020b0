import type { AgentConfig } from '../connector/config/agent-config.ts';
import { type AgentConfigOptions, readAgentConfig } from '../connector/config/load-agent-config.ts';
import { toIsoDate } from '../core/clock.ts';

/** What is found in an installation folder without starting anything. */
export interface ConnectorCheck {
  /** Empty where the agent would start. */
  readonly faults: readonly string[];
  /** Lines for people: the faults, or what the agent would do. */
  readonly summary: readonly string[];
}

/** Behind `countersign connector check`. Opens no connection, writes nothing. */
export function checkConnector(folder: string, options: AgentConfigOptions): ConnectorCheck {
  const { config, faults } = readAgentConfig(folder, options);
  return { faults, summary: config === undefined ? faults : toSummary(config) };
}

function toSummary({ mappings, credentials, gatewayUrls, warnings }: AgentConfig): string[] {
  const applications = `${mappings.length} application${mappings.length === 1 ? '' : 's'}`;
  const until = toIsoDate(credentials.expiresAt).slice(0, 10);
  const certificate = `certificate of connector ${credentials.connectorId} valid until ${until}`;
  const gateways = `gateway${gatewayUrls.length === 1 ? '' : 's'} ${gatewayUrls.join(', ')}`;
  return [
    `OK: ${applications}, ${certificate}, ${gateways}`,
    ...(mappings.length === 0 ? ['warning: no application can be reached until one is in accesscontrol.json'] : []),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}
