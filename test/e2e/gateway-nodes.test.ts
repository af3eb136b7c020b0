import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';

import {
  type Connector,
  type ConnectorChain,
  type GatewayProcess,
  startConnectorChain,
  waitUntil,
} from '../support/connector-chain.ts';
import { type RedisProcess, startRedis } from '../support/processes.ts';

/** How many requests of a load are under way at one time. */
const LOAD_WIDTH = 16;

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Status {
  readonly instances: readonly { readonly node: string; readonly instance: string; readonly worker: number }[];
}

/** Answers with what it was asked for. Everything below `/slow` takes 300 ms, in two parts. */
function startApplication(asked: string[]): Server {
  return createServer((req, res) => {
    const target = req.url ?? '';
    asked.push(target);
    req.resume();
    if (!target.startsWith('/slow')) {
      res.end(target);
      return;
    }
    res.write(target.slice(0, 3));
    setTimeout(() => res.end(target.slice(3)), 300);
  }).listen(0, '127.0.0.1');
}

/** One request on a connection of its own. @throws where the answer is not whole */
async function call(
  gateway: GatewayProcess,
  token: string,
  target: string,
  { method = 'GET', onHead = () => undefined }: { readonly method?: string; readonly onHead?: () => void } = {},
): Promise<Answer> {
  const req = request({
    host: '127.0.0.1',
    port: gateway.callerPort,
    method,
    path: `http://crm.virtual:8080${target}`,
    headers: { 'proxy-authorization': `Bearer ${token}` },
    agent: false,
  });
  return new Promise((resolve, reject) => {
    req.once('error', reject);
    req.once('response', (res) => {
      onHead();
      let body = '';
      res.setEncoding('utf8').on('data', (part: string) => (body += part));
      res.once('error', reject);
      res.once('close', () =>
        res.complete ? resolve({ status: res.statusCode ?? 0, body }) : reject(new Error('the answer is not whole')),
      );
    });
    req.end();
  });
}

/** Requests without a pause to those that `pick` names, until it is stopped. */
function startLoad(token: string, pick: () => GatewayProcess, method: string): RunningLoad {
  const load: Load = { sent: [], failures: [] };
  const unanswered = new Map<string, GatewayProcess>();
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const target = `${load.sent.length % 8 === 0 ? '/slow' : ''}/${method}/${load.sent.length}`;
      load.sent.push(target);
      const gateway = pick();
      unanswered.set(target, gateway);
      try {
        const onHead = (): void => void unanswered.delete(target);
        const { status, body } = await call(gateway, token, target, { method, onHead });
        if (status !== 200 || body !== target) load.failures.push(`${target}: ${status} ${body}`);
      } catch (error) {
        load.failures.push(`${target}: ${String(error)}`);
      }
      unanswered.delete(target);
    }
  };
  const all = Promise.all(Array.from({ length: LOAD_WIDTH }, run));
  return {
    countUnanswered: (gateway) => [...unanswered.values()].filter((one) => one === gateway).length,
    stop: async () => {
      stopping.abort();
      await all;
      return load;
    },
  };
}

interface RunningLoad {
  /** Requests to a gateway that have not got the head of an answer. */
  countUnanswered(gateway: GatewayProcess): number;
  stop(): Promise<Load>;
}

interface Load {
  readonly sent: string[];
  readonly failures: string[];
}

describe('three gateway nodes on one Redis', { timeout: 180_000 }, () => {
  let redis: RedisProcess;
  let application: Server;
  let chain: ConnectorChain;
  let connector: Connector;
  let token: string;
  const gateways: GatewayProcess[] = [];
  const asked: string[] = [];

  const gatewayAt = (index: number): GatewayProcess => {
    const gateway = gateways[index];
    assert.ok(gateway !== undefined);
    return gateway;
  };
  const readInstances = async (): Promise<Status['instances']> =>
    (await chain.admin<Status>('GET', `/connectors/${connector.id}`)).instances;
  /** Every agent of each of `count` installations is connected to two nodes. */
  const untilSpread = (count: number): Promise<void> =>
    waitUntil(
      'each agent is connected to two nodes',
      async () => {
        const nodesOf = new Map<string, Set<string>>();
        for (const { instance, worker, node } of await readInstances()) {
          const agent = `${instance}/${worker}`;
          nodesOf.set(agent, (nodesOf.get(agent) ?? new Set()).add(node));
        }
        return nodesOf.size >= count && [...nodesOf.values()].every(({ size }) => size === 2);
      },
      40_000,
    );
  const restart = async (index: number): Promise<void> => {
    const { callerPort, agentPort } = gatewayAt(index);
    gateways[index] = await chain.startGateway({ callerPort, agentPort });
  };

  before(async () => {
    redis = await startRedis();
    application = startApplication(asked);
    await once(application, 'listening');
    chain = await startConnectorChain({ COUNTERSIGN_REDIS_URL: redis.url });
    for (let count = 0; count < 3; count++) gateways.push(await chain.startGateway());
    connector = await chain.addConnector();
    token = await chain.addCaller();
  });
  after(async () => {
    await chain?.stop();
    application?.close();
    await redis?.stop();
  });
  const install = async (gatewayUrls: readonly string[]) =>
    chain.install(connector, {
      gatewayUrls,
      mappings: [
        {
          virtualhost: 'crm.virtual',
          virtualport: 8080,
          internalhost: '127.0.0.1',
          internalport: (application.address() as AddressInfo).port,
          protocol: 'http',
          allowedPaths: '/*',
        },
      ],
    });

  test('an agent at one node is reached through each of them, and its end is known to all', async () => {
    const installation = await install([gatewayAt(0).agentUrl]);
    const agent = await installation.start();
    for (const gateway of gateways) {
      await waitUntil('the agent is known', async () => (await call(gateway, token, '/known')).status === 200);
      assert.deepEqual(await call(gateway, token, '/a?b=c'), { status: 200, body: '/a?b=c' });
    }
    asked.length = 0;
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) =>
        call(gatewayAt(index % 3), token, `/POST/${index}`, { method: 'POST' }),
      ),
    );
    assert.ok(answers.every(({ status, body }, index) => status === 200 && body === `/POST/${index}`));
    assert.equal(asked.length, 300, 'each is asked for once');
    await agent.stop();
    for (const gateway of gateways) {
      await waitUntil('nobody is there', async () => (await call(gateway, token, '/a')).status === 503);
    }
  });

  test('a node that is killed under load: the others go on, nothing is done twice, its agents come back', async (t) => {
    const agents = [];
    // At two of the nodes: what the third one is asked for goes over them.
    const urls = [gatewayAt(0), gatewayAt(1)].map(({ agentUrl }) => agentUrl);
    for (let count = 0; count < 2; count++) agents.push(await (await install(urls)).start());
    await untilSpread(2);
    asked.length = 0;
    let turn = 0;
    const pickSurvivor = (): GatewayProcess => gatewayAt(1 + (turn++ % 2));
    const loads = [startLoad(token, pickSurvivor, 'GET'), startLoad(token, pickSurvivor, 'POST')] as const;
    await waitUntil('the load is on', () => asked.length > 500);
    await gatewayAt(0).kill();
    const killedAt = asked.length;
    await waitUntil('the load goes on', () => asked.length > killedAt + 1_000);
    const [gets, posts] = [await loads[0].stop(), await loads[1].stop()];
    t.diagnostic(`${gets.sent.length} GET, ${gets.failures.length} failed: ${gets.failures.slice(0, 3).join('; ')}`);
    t.diagnostic(
      `${posts.sent.length} POST, ${posts.failures.length} failed: ${posts.failures.slice(0, 3).join('; ')}`,
    );
    // What nobody knows the fate of is told to the caller; that is what was on the way through the killed node.
    assert.ok(posts.failures.length <= LOAD_WIDTH, posts.failures.join('\n'));
    const posted = asked.filter((target) => target.includes('/POST/'));
    assert.equal(posted.length, new Set(posted).size, 'a POST was sent twice');
    // What is idempotent is sent again, unless a part of its answer was on its way to the caller.
    assert.deepEqual(
      gets.failures.filter((failure) => !failure.startsWith('/slow')),
      [],
    );
    await restart(0);
    await untilSpread(2);
    for (const agent of agents) await agent.stop();
  });

  test('a rolling restart fails no request', async (t) => {
    const agents = [];
    const urls = gateways.map(({ agentUrl }) => agentUrl);
    for (let count = 0; count < 2; count++) agents.push(await (await install(urls)).start());
    await untilSpread(2);
    let turn = 0;
    let restarting: number | undefined;
    const pick = (): GatewayProcess => {
      // A load balancer takes a node out before it is told to end.
      do turn++;
      while (turn % 3 === restarting);
      return gatewayAt(turn % 3);
    };
    const loads = [startLoad(token, pick, 'GET'), startLoad(token, pick, 'POST')] as const;
    for (const index of gateways.keys()) {
      restarting = index;
      const before = asked.length;
      // What has not got through to the process yet is no request of its; answers that are under way are.
      await waitUntil('all are begun', () => loads.every((load) => load.countUnanswered(gatewayAt(index)) === 0));
      gatewayAt(index).signal('SIGTERM');
      assert.equal((await gatewayAt(index).exited).code, 0);
      await restart(index);
      restarting = undefined;
      await waitUntil('the load goes on', () => asked.length > before + 200);
      await untilSpread(2);
    }
    for (const one of loads) {
      const { sent, failures } = await one.stop();
      t.diagnostic(`${sent.length} requests, ${failures.length} failed`);
      assert.deepEqual(failures, []);
    }
    for (const agent of agents) await agent.stop();
  });
});
