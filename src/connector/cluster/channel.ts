import type { LogLevel } from '../logs/levels.ts';

/** How long the other end may take to answer a question, in milliseconds. */
export const ASK_TIMEOUT_MS = 30_000;

/** What a worker tells its primary. Lines are joined by line feeds, which no line holds. */
export type ToPrimary =
  /** It listens: what was said to it before is lost. */
  | { readonly type: 'hello' }
  | { readonly type: 'ready' }
  | { readonly type: 'status'; readonly status: unknown }
  | { readonly type: 'entries'; readonly logs: string; readonly audits: string }
  | Question
  | Answer;

/** What a primary tells a worker. */
export type ToWorker =
  | { readonly type: 'start'; readonly worker: number; readonly instance: string; readonly config: unknown }
  | { readonly type: 'reload'; readonly config: unknown }
  | { readonly type: 'stop'; readonly graceMs: number }
  /** So many lines are dealt with. */
  | { readonly type: 'ack'; readonly logs: number; readonly audits: number }
  | Question
  | Answer;

interface Question {
  readonly type: 'ask';
  readonly id: number;
  readonly name: string;
  readonly payload: unknown;
}

interface Answer {
  readonly type: 'answer';
  readonly id: number;
  readonly value?: unknown;
  /** One sentence, where there is no value. */
  readonly error?: string;
}

/** A pipe between two processes, or what stands for it within one. */
export interface Port {
  /** Messages are sent in order; after the end of the other side they go nowhere. */
  send(message: object): void;
  onMessage(listener: (message: unknown) => void): void;
}

/** Answers a question of the other end. */
export type AnswerQuestion = (name: string, payload: unknown) => Promise<unknown>;

/** One end of a port: messages that are told, and questions that are answered. */
export interface Channel<Out extends object> {
  send(message: Out): void;
  /** @throws what the other end says, or that it did not answer in time */
  ask(name: string, payload: unknown, timeoutMs?: number): Promise<unknown>;
  /** Fails all questions: the other end is gone. */
  close(): void;
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- both directions are named where it is called
export function createChannel<In extends { readonly type: string }, Out extends object>(
  port: Port,
  onMessage: (message: In) => void,
  answer: AnswerQuestion,
): Channel<Out> {
  const open = new Map<number, { settle: (given: Answer) => void }>();
  let lastId = 0;

  const reply = async ({ id, name, payload }: Question): Promise<void> => {
    try {
      port.send({ type: 'answer', id, value: await answer(name, payload) } satisfies Answer);
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error);
      port.send({ type: 'answer', id, error: sentence } satisfies Answer);
    }
  };

  port.onMessage((received) => {
    const message = received as In | Question | Answer;
    if (message.type === 'ask') void reply(message as Question);
    else if (message.type === 'answer') open.get((message as Answer).id)?.settle(message as Answer);
    else onMessage(message as In);
  });

  return {
    send: (message) => port.send(message),
    ask: (name, payload, timeoutMs = ASK_TIMEOUT_MS) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        const settle = ({ value, error }: Answer): void => {
          clearTimeout(timer);
          open.delete(id);
          if (error === undefined) resolve(value);
          else reject(new Error(error));
        };
        const timer = setTimeout(() => settle({ type: 'answer', id, error: `${name}: no answer in time` }), timeoutMs);
        open.set(id, { settle });
        port.send({ type: 'ask', id, name, payload } satisfies Question);
      }),
    close: () => {
      for (const [id, { settle }] of open) settle({ type: 'answer', id, error: 'the other process has ended' });
    },
  };
}

/** Two ports that are connected within one process. Messages arrive after the current task, as from a pipe. */
export function createPortPair(): readonly [Port, Port] {
  const listeners: [((message: unknown) => void)[], ((message: unknown) => void)[]] = [[], []];
  const createPort = (own: 0 | 1): Port => ({
    send: (message) => void setImmediate(() => listeners[own === 0 ? 1 : 0].forEach((listener) => listener(message))),
    onMessage: (listener) => void listeners[own].push(listener),
  });
  return [createPort(0), createPort(1)];
}

/** The levels of both logs, as they are in force. */
export interface LogLevels {
  readonly app: LogLevel;
  readonly audit: LogLevel;
}
