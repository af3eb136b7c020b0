import type { CloseCode } from '../tunnel/codes.ts';
import type { Closed } from '../tunnel/messages.ts';
import type { RequestRecord } from './request-record.ts';

type Fields = Readonly<Record<string, unknown>>;
type Say = (message: string, fields?: Fields) => void;

/** Where an agent tells of its connections. */
export interface AgentLog {
  readonly error: Say;
  readonly warn: Say;
  readonly info: Say;
  readonly debug: Say;
}

/** Where an agent leaves what an auditor may ask for. */
export interface AgentAudit {
  request(record: RequestRecord): void;
  /** A connection to a gateway that was made or is over. */
  connection(fields: Fields): void;
  /** Whether requests can be recorded now. While they cannot, none is taken. */
  canRecord(): boolean;
}

/** What an operator can do about an end that the gateway, or the network, gave a connection. */
const ADVICE: Partial<Record<CloseCode | 'lost', string>> = {
  unauthorized:
    'the gateway does not accept the certificate: it may be expired, revoked, or of a connector that was deleted; generate a new one and put it into credentials/',
  protocol: 'agent and gateway do not understand each other: compare their versions',
  timed_out: 'the network between the agent and the gateway lost the connection silently; the agent connects again',
  unavailable: 'the gateway cannot serve at the moment; the agent tries again',
};

/** Why a connection is over, as the log tells it. */
export const toClosedFields = ({ code, detail, isRemote }: Closed): Fields => ({
  code,
  detail,
  by: isRemote ? 'gateway' : 'agent',
  ...(ADVICE[code] !== undefined && { advice: ADVICE[code] }),
});
