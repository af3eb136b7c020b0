import type { RequestHead } from '../../tunnel/messages.ts';
import type { Agent } from '../roster.ts';

/** A whole request that an agent made of its gateway. */
export interface ServiceCall {
  readonly agent: Pick<Agent, 'connectorId' | 'serial'>;
  readonly head: RequestHead;
  readonly body: Buffer;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface ServiceAnswer {
  readonly status: number;
  /** Names and values, one after the other. */
  readonly fields: readonly string[];
  readonly body: string;
}

/** Something that a gateway does for the agents which are connected to it. */
export interface Service {
  readonly maxBytes: number;
  /** @throws AppError */
  serve(call: ServiceCall): Promise<ServiceAnswer>;
}
