import type { Fields, RequestHead, ResponseHead, Service, TunnelStream } from '../tunnel/messages.ts';
import { MAX_SERVICE_ANSWER_BYTES, SERVICE_TIMEOUT_MS } from '../tunnel/services.ts';
import type { Agent } from './agent.ts';

/** What an agent asks of its gateway, as it goes from the primary to a worker. */
export interface ServiceRequest {
  readonly service: Service;
  readonly target: string;
  readonly fields: Fields;
  readonly body: Uint8Array;
}

export interface ServiceReply {
  readonly status: number;
  readonly fields: Fields;
  readonly body: string;
  /** Of a failure that is not the target's: the code of the gateway's error. */
  readonly connectorError?: string;
}

/** By what name a primary hands a {@link ServiceRequest} to its workers. */
export const SERVICE_QUESTION = 'service';

/**
 * Asks a service of the gateway.
 * @returns undefined where no gateway is connected, or the one that is did not begin with it
 * @throws Error where it is not known how far it got
 */
export function askService(
  agent: Pick<Agent, 'open'>,
  { service, target, fields, body }: ServiceRequest,
  timeoutMs = SERVICE_TIMEOUT_MS,
): Promise<ServiceReply | undefined> {
  const request: RequestHead = { to: { service }, method: 'POST', target, fields };
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    let head: ResponseHead | undefined;
    const fail = (why: string): void => {
      clearTimeout(timer);
      stream?.reset('cancelled');
      reject(new Error(why));
    };
    const timer = setTimeout(() => fail('the gateway did not answer in time'), timeoutMs);
    const stream: TunnelStream | undefined = agent.open(
      request,
      {
        onResponse: (given) => {
          if (given.status >= 200) head = given;
        },
        onData: (chunk) => {
          bytes += chunk.length;
          if (bytes > MAX_SERVICE_ANSWER_BYTES) return fail('the gateway answered too much');
          parts.push(chunk);
          stream?.consumed(chunk.length);
        },
        onEnd: () => {
          clearTimeout(timer);
          const { status = 0, fields: given = [], connectorError } = head ?? {};
          const text = Buffer.concat(parts).toString('utf8');
          resolve({ status, fields: given, body: text, ...(connectorError !== undefined && { connectorError }) });
        },
        onReset: (code) => {
          clearTimeout(timer);
          if (code === 'refused') resolve(undefined);
          else reject(new Error(`the gateway cut the stream: ${code}`));
        },
      },
      false,
    );
    if (stream === undefined) {
      clearTimeout(timer);
      resolve(undefined);
      return;
    }
    stream.write(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
    stream.end();
  });
}

/** What a worker answers its primary. */
export const createServiceAnswer =
  (agent: Pick<Agent, 'open'>) =>
  (name: string, payload: unknown): Promise<ServiceReply | undefined> => {
    if (name !== SERVICE_QUESTION) return Promise.reject(new Error(`${name}: this worker does not answer that`));
    return askService(agent, payload as ServiceRequest);
  };

/** A primary's way to the gateway, over whichever worker has one. */
export type AskGateway = (request: ServiceRequest) => Promise<ServiceReply | undefined>;
