import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import express, { type ErrorRequestHandler } from 'express';
import { middleware } from 'express-openapi-validator';
import { parse } from 'yaml';

const METHODS = ['get', 'post', 'patch', 'put', 'delete'] as const;

interface MediaType {
  readonly schema?: object;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

/** What an operation may answer under one status. */
export interface DocumentedResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, MediaType>>;
}

interface OperationObject {
  readonly operationId: string;
  readonly summary: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly requestBody?: { readonly content: Readonly<Record<string, MediaType>> };
  readonly responses: Readonly<Record<string, DocumentedResponse | { readonly $ref: string }>>;
  readonly 'x-codeSamples': readonly { readonly lang: string; readonly source: string }[];
}

/** The parts of the API description that tests read. */
export interface OpenapiDocument {
  readonly info: { readonly description: string };
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, OperationObject>> & { readonly servers: readonly { readonly description: string }[] }
    >
  >;
  readonly components: { readonly responses: Readonly<Record<string, DocumentedResponse>> };
  readonly 'x-failures-outside-operations': readonly string[];
  readonly 'x-failures-of-relaying': readonly string[];
}

/** One operation, its references resolved. */
export interface Operation extends Omit<OperationObject, 'responses'> {
  /** As the document writes it: `/admin/apps/{clientId}`. */
  readonly path: string;
  /** Upper case. */
  readonly method: string;
  /** `issuer`, `idproxy`, `gateway`, or several of them. */
  readonly servers: readonly string[];
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
}

/** The committed API description. */
export async function readOpenapi(): Promise<OpenapiDocument> {
  return parse(await readFile('openapi.yaml', 'utf8')) as OpenapiDocument;
}

/** Every operation of the description, by its id. */
export function listOperations({ paths, components }: OpenapiDocument): ReadonlyMap<string, Operation> {
  const resolve = (response: DocumentedResponse | { readonly $ref: string }): DocumentedResponse => {
    if (!('$ref' in response)) return response;
    const found = components.responses[response.$ref.replace('#/components/responses/', '')];
    assert.ok(found, `${response.$ref} is there`);
    return found;
  };
  const operations = new Map<string, Operation>();
  for (const [path, item] of Object.entries(paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      assert.ok(!operations.has(operation.operationId), `${operation.operationId} is there once`);
      operations.set(operation.operationId, {
        ...operation,
        path,
        method: method.toUpperCase(),
        servers: item.servers.map(({ description }) => description),
        responses: Object.fromEntries(
          Object.entries(operation.responses).map(([status, one]) => [status, resolve(one)]),
        ),
      });
    }
  }
  return operations;
}

/** The codes of all failures that a response documents. */
export function listCodes({ content }: DocumentedResponse): readonly string[] {
  return Object.keys(content?.['application/json']?.examples ?? {});
}

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Judges real requests and answers by the description, with an implementation that is not ours. */
export interface OpenapiJudge {
  /** @throws AssertionError where the answer is not as documented */
  checkAnswer(operation: Operation, answer: RawAnswer): Promise<void>;
  /** @throws AssertionError where the request is not as documented */
  checkRequest(
    operation: Operation,
    headers: Readonly<Record<string, string>>,
    body: string | undefined,
  ): Promise<void>;
  close(): Promise<void>;
}

/** The validator passes every body of a 5xx: a copy of the description has them under other statuses. */
const JUDGED_AS: Readonly<Record<string, string>> = { 500: '450', 502: '452', 503: '453', 504: '454' };

function toJudged(document: OpenapiDocument): OpenapiDocument {
  const copy = structuredClone(document) as {
    paths: Record<string, Record<string, { responses?: Record<string, unknown> }>>;
  };
  for (const item of Object.values(copy.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation?.responses === undefined) continue;
      const entries = Object.entries(operation.responses);
      operation.responses = Object.fromEntries(entries.map(([status, one]) => [JUDGED_AS[status] ?? status, one]));
    }
  }
  return copy as unknown as OpenapiDocument;
}

const NEVER_REFUSED = { status: 200, body: {} };

/** Starts the judge: a server that answers with what it is told to, behind express-openapi-validator. */
export async function startOpenapiJudge(document: OpenapiDocument): Promise<OpenapiJudge> {
  const answers = new Map<string, { status: number; body: unknown }>();
  const refuse: ErrorRequestHandler = (error: Error & { errors?: unknown }, _req, res, _next) => {
    const verdict = JSON.stringify({ message: error.message, errors: error.errors });
    res.writeHead(599, { 'content-type': 'application/json' }).end(verdict);
  };
  const createJudge = (validate: object) => {
    const app = express();
    app.use(express.json(), express.urlencoded({ extended: true }));
    const apiSpec = toJudged(document) as unknown as NonNullable<Parameters<typeof middleware>[0]>['apiSpec'];
    app.use(middleware({ apiSpec, validateSecurity: false, ...validate }));
    app.use((req, res) => {
      const { status, body } = answers.get(req.get('x-answer') ?? '') ?? NEVER_REFUSED;
      res.status(status).json(body);
    });
    app.use(refuse);
    return app;
  };
  const listen = async (app: express.Express) => {
    const server = createServer(app);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  };
  const forAnswers = await listen(createJudge({ validateRequests: false, validateResponses: true }));
  const forRequests = await listen(createJudge({ validateRequests: true, validateResponses: false }));
  const toUrl = (base: string, { path }: Operation): string => base + path.replaceAll(/\{\w+\}/g, 'x');

  return {
    checkAnswer: async (operation, { status, headers, text }) => {
      const documented = operation.responses[status];
      assert.ok(documented, `${operation.operationId}: ${status} is documented; it was ${text}`);
      for (const [name, { required }] of Object.entries(documented.headers ?? {})) {
        assert.ok(required !== true || headers.has(name), `${operation.operationId} ${status}: has ${name}`);
      }
      const type = headers.get('content-type')?.split(';')[0];
      const types = Object.keys(documented.content ?? {});
      assert.ok(type === undefined ? types.length === 0 : types.includes(type), `${type} is one of ${types.join()}`);
      if (type !== 'application/json') return;
      const id = randomUUID();
      answers.set(id, { status: Number(JUDGED_AS[status] ?? status), body: JSON.parse(text) });
      const verdict = await fetch(toUrl(forAnswers.url, operation), {
        method: operation.method,
        headers: { 'x-answer': id },
      });
      assert.notEqual(verdict.status, 599, `${operation.operationId} ${status}: ${await verdict.text()}: ${text}`);
      assert.equal(verdict.status, Number(JUDGED_AS[status] ?? status));
      answers.delete(id);
    },
    checkRequest: async (operation, headers, body) => {
      const init = { method: operation.method, headers, ...(body !== undefined && { body }) };
      const verdict = await fetch(toUrl(forRequests.url, operation), init);
      assert.notEqual(verdict.status, 599, `${operation.operationId}: ${await verdict.text()}: ${body}`);
    },
    close: async () => {
      for (const { server } of [forAnswers, forRequests]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
}
