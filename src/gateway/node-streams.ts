import { checkRequest } from '../tunnel/access.ts';
import type { RequestHead, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';
import type { ConnectorDirectory } from './connector-directory.ts';
import { type Agent, pickWay, type Roster } from './roster.ts';

export interface NodeStreamDeps {
  readonly directory: Pick<ConnectorDirectory, 'findConnector'>;
  readonly roster: Pick<Roster, 'findByConnector'>;
}

/**
 * Serves what another node sends on. It comes from agents of this node or it is refused: there is no second hop. The other
 * node has asked who the caller is; what the agents admit is known here.
 */
export function serveNodeStream(
  deps: NodeStreamDeps,
  stream: TunnelStream,
  head: RequestHead,
  isLast: boolean,
): StreamHandlers | undefined {
  const { connector, ...onward } = head;
  const agent = connector === undefined ? undefined : pickWay(findAgents(deps, connector, onward));
  const bridge = agent && new Bridge(stream, agent, onward, isLast);
  if (bridge?.isBegun !== true) {
    stream.reset('refused');
    return undefined;
  }
  return bridge;
}

function findAgents({ directory, roster }: NodeStreamDeps, connector: string, head: RequestHead): readonly Agent[] {
  if (directory.findConnector(connector)?.enabled !== true || !('host' in head.to)) return [];
  const question = { ...head.to, method: head.method, target: head.target, upgrade: head.upgrade };
  return roster.findByConnector(connector).filter(({ table }) => {
    try {
      checkRequest(table, question);
      return true;
    } catch {
      return false;
    }
  });
}

/** Carries one request from a node's stream to an agent's, and the answer back. */
class Bridge implements StreamHandlers {
  readonly #from: TunnelStream;
  readonly #to: TunnelStream | undefined;
  #heldRequestBytes = 0;
  #heldResponseBytes = 0;

  constructor(from: TunnelStream, agent: Agent, head: RequestHead, isLast: boolean) {
    this.#from = from;
    this.#to = agent.open(
      head,
      {
        onResponse: (response) => from.respond(response),
        onData: (chunk) => {
          if (from.write(chunk)) this.#to?.consumed(chunk.length);
          else this.#heldResponseBytes += chunk.length;
        },
        onEnd: (trailers) => from.end(trailers),
        onReset: (code) => from.reset(code),
        onDrain: () => {
          from.consumed(this.#heldRequestBytes);
          this.#heldRequestBytes = 0;
        },
      },
      isLast,
    );
  }

  /** Whether the agent took it. */
  get isBegun(): boolean {
    return this.#to !== undefined;
  }

  onData(chunk: Buffer): void {
    if (this.#to?.write(chunk) === true) this.#from.consumed(chunk.length);
    else this.#heldRequestBytes += chunk.length;
  }

  onEnd(trailers: readonly string[]): void {
    this.#to?.end(trailers);
  }

  onReset(): void {
    this.#to?.reset('cancelled');
  }

  onDrain(): void {
    this.#to?.consumed(this.#heldResponseBytes);
    this.#heldResponseBytes = 0;
  }
}
