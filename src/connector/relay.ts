import { toAppError } from '../core/errors.ts';
import { type AccessRule, checkRequest } from '../tunnel/access.ts';
import type { RequestHead, StreamHandlers, TunnelStream } from '../tunnel/messages.ts';
import { type Backend, createBackend } from './backend.ts';
import { type Mapping, toAccessRule } from './config/agent-config.ts';
import { type Errand, toErrand } from './errand.ts';
import { answerError } from './relay-answer.ts';
import { Exchange } from './relay-request.ts';
import { RequestBody } from './request-body.ts';
import { type Outcome, type RequestRecord, toVerdict } from './request-record.ts';

/** What a relay needs. */
export interface RelayDeps {
  /** Told once of every request, when it is over. */
  record(record: RequestRecord): void;
  /** Whether records can be kept. SECURITY: what could not be recorded is not done. */
  canRecord(): boolean;
}

/** Sends what the access control admits to its applications. */
export interface Relay {
  /** What the gateway is told. */
  readonly rules: readonly AccessRule[];
  /** Requests that are under way. */
  readonly inFlight: number;
  /** Another access control, for requests that come from now on. */
  update(mappings: readonly Mapping[]): void;
  /** Takes a request from the gateway node `node`. */
  take(stream: TunnelStream, head: RequestHead, isLast: boolean, node?: string): StreamHandlers | undefined;
  /** Closes the connections on which nothing runs. */
  close(): void;
}

type Addressed = RequestHead & { readonly to: { readonly host: string; readonly port: number } };

const isAddressed = (head: RequestHead): head is Addressed => 'host' in head.to;

/** The applications of an access control, found by the very rule that admitted a request. */
const toBackends = (mappings: readonly Mapping[]): ReadonlyMap<AccessRule, Backend> =>
  new Map(mappings.map((mapping) => [toAccessRule(mapping), createBackend(mapping)]));

/** Takes the rest of a request that was answered already. */
function toLeftover(stream: TunnelStream): StreamHandlers {
  const body = new RequestBody(stream, Infinity, false);
  return { onData: (chunk) => void body.send(chunk, undefined), onEnd: () => undefined, onReset: () => undefined };
}

/** @param mappings the access control to begin with */
export function createRelay(mappings: readonly Mapping[], deps: RelayDeps): Relay {
  let backends = toBackends(mappings);
  let rules = [...backends.keys()];
  let inFlight = 0;

  /** SECURITY: the agent judges by its own table, whatever the gateway judged. @throws AppError */
  const admit = (head: Addressed, isLast: boolean): Errand => {
    const { host, port } = head.to;
    const { method, target, upgrade } = head;
    const { rule } = checkRequest(rules, { host, port, method, target, upgrade });
    return toErrand(head, isLast, rule, backends.get(rule) as Backend);
  };

  return {
    get rules() {
      return rules;
    },
    get inFlight() {
      return inFlight;
    },
    update: (next) => {
      const former = backends;
      backends = toBackends(next);
      rules = [...backends.keys()];
      for (const backend of former.values()) backend.retire();
    },
    take: (stream, head, isLast, node) => {
      if (!isAddressed(head)) {
        stream.reset('forbidden');
        return undefined;
      }
      if (!deps.canRecord()) {
        stream.reset('refused');
        return undefined;
      }
      const startedAtMs = performance.now();
      const { requestId, method, target, to } = head;
      const record = (outcome: Outcome, mapping: string | undefined): void => {
        const durationMs = performance.now() - startedAtMs;
        deps.record({ requestId, node, method, host: to.host, port: to.port, target, mapping, ...outcome, durationMs });
      };
      let errand: Errand;
      try {
        errand = admit(head, isLast);
      } catch (error) {
        const refusal = toAppError(error);
        const status = answerError(stream, refusal, method === 'HEAD');
        const detail = refusal.detail ?? refusal.values.detail ?? refusal.code;
        record({ verdict: toVerdict(refusal.code), status, requestBytes: 0, responseBytes: 0, detail }, undefined);
        return isLast ? undefined : toLeftover(stream);
      }
      inFlight++;
      return new Exchange(stream, errand, isLast, (outcome) => {
        inFlight--;
        record(outcome, errand.name);
      });
    },
    close: () => {
      for (const backend of backends.values()) backend.retire();
    },
  };
}
