import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** A request that a service of the customer's got. */
export interface SeenRequest {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A real server that stands for a service of the customer's. */
export interface UpstreamUnderTest {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Stops it: from here on nothing listens there. */
  readonly stop: () => Promise<void>;
}

export type Answering = (res: ServerResponse, request: SeenRequest) => void;

/** Starts it on a free port; it answers as `answer` says, or never where `answer` does nothing. */
export async function startUpstream(t: TestContext, answer: Answering): Promise<UpstreamUnderTest> {
  const seen: SeenRequest[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method, url, headers } = req;
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() };
      seen.push(request);
      answer(res, request);
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const stop = (): Promise<void> =>
    new Promise((stopped) => {
      server.close(() => stopped());
      server.closeAllConnections();
    });
  t.after(stop);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, stop };
}

/** Answers JSON. */
export function answerJson(body: unknown, status = 200): Answering {
  return (res) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
}
