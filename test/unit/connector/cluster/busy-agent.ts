import cluster from 'node:cluster';
import { randomInt } from 'node:crypto';

import { createClusterFork, createInProcessFork, createWorkerPort } from '../../../../src/connector/cluster/fork.ts';
import { runPrimary } from '../../../../src/connector/cluster/primary.ts';
import { runWorker, type StartWorker } from '../../../../src/connector/cluster/worker.ts';
import { readAgentConfig } from '../../../../src/connector/config/load-agent-config.ts';
import { systemClock } from '../../../../src/core/clock.ts';

// An agent whose workers relay nothing and write an audit line as if they did, some thousand a second.
// Words: the installation folder, `busy`, `broken`, or `quiet`: without those lines.
const [folder = '', manner] = process.argv.slice(2);

const startWorker: StartWorker = ({ audit, log, config, worker }) => {
  if (manner === 'broken') throw new Error('this worker cannot start');
  let count = 0;
  let mappings = config.mappings.length;
  const timer = setInterval(() => {
    if (manner === 'quiet') return;
    for (let n = 0; n < 20 && audit.canRecord(); n++) {
      audit.request({
        requestId: `${worker}-${process.pid}-${++count}`, node: 'gw', method: 'GET', host: 'crm.virtual', port: 8080,
        target: '/api', mapping: 'CRM', verdict: 'allowed', status: 200, requestBytes: 0, responseBytes: 2, durationMs: 1,
      }); // prettier-ignore
    }
  }, 5);
  return {
    reload: (next) => {
      mappings = next.mappings.length;
      log.info('reloaded', { mappings });
    },
    status: () => ({ mappings }),
    stop: async () => {
      clearInterval(timer);
      log.info('the worker has stopped', { requests: count });
    },
  };
};

const stopping = new AbortController();
if (cluster.isWorker) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  await runWorker(createWorkerPort(), { clock: systemClock, startWorker }).catch(() => process.exit(1));
  process.exit(0);
}
process.once('SIGTERM', () => stopping.abort());
try {
  await runPrimary({
    folder,
    version: '0.0.0',
    instance: 'i-1',
    clock: systemClock,
    random: (below) => (below < 1 ? 0 : randomInt(Math.ceil(below))),
    printError: (text) => void process.stderr.write(`${text}\n`),
    readConfig: () => readAgentConfig(folder, { clock: systemClock }),
    createFork: ({ cluster: { enabled } }) =>
      enabled ? createClusterFork() : createInProcessFork({ clock: systemClock, startWorker }),
    stop: stopping.signal,
    minRestartMs: 20,
  });
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
