import { connect } from 'node:net';
import { once } from 'node:events';

import type { Redis } from 'ioredis';

import type { Store } from './contestant.ts';
import { type GrowthIdproxy, startGrowthIdproxy } from './growth-idproxy.ts';
import type { GrowthOptions } from './growth-options.ts';
import { readRedisInfo } from './growth-redis.ts';
import type { StoreBytes } from './growth-room.ts';

/** Bytes that one exchange sends, without what TCP/IP and TLS add. */
export interface WireBytes {
  /** Between the caller and the idproxy, both directions. */
  readonly http: number;
  /** Between the idproxy and Redis, both directions. */
  readonly redis: number;
}

async function measureHttpBytes({ server, createBodies }: GrowthIdproxy): Promise<number> {
  const { host, hostname, port } = new URL(server.url);
  const [body = ''] = createBodies(1);
  const fields = `Host: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  const request = `POST /authorize HTTP/1.1\r\n${fields}\r\nConnection: close\r\n\r\n${body}`;
  const socket = connect({ host: hostname, port: Number(port) });
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => (text += part));
  socket.write(request);
  await once(socket, 'close');
  if (!text.startsWith('HTTP/1.1 200')) throw new Error(`an exchange was refused: ${text.slice(0, 100)}`);
  return Buffer.byteLength(request) + text.length;
}

async function measureRedisBytes(idproxy: GrowthIdproxy, client: Redis, count: number): Promise<number> {
  const read = async (): Promise<number> =>
    (await readRedisInfo(client, 'total_net_input_bytes')) + (await readRedisInfo(client, 'total_net_output_bytes'));
  const before = await read();
  await idproxy.exchange(count);
  return ((await read()) - before) / count;
}

/** What each kind of record takes in a store that has nothing else to do, and, on Redis, what an exchange sends. */
export async function measureStoreBytes(
  store: Store,
  options: GrowthOptions,
): Promise<{ readonly records: StoreBytes; readonly wire?: WireBytes }> {
  const idproxy = await startGrowthIdproxy(store, options);
  try {
    await idproxy.exchange(options.realCount);
    const { client } = idproxy;
    const wire = client && {
      http: await measureHttpBytes(idproxy),
      redis: await measureRedisBytes(idproxy, client, options.realCount),
    };
    const records = await idproxy.openRecords();
    await idproxy.stopServer();
    const jti = await records.measureBytes('jti', options.byteRecordCount);
    const session = await records.measureBytes('session', options.byteRecordCount);
    return { records: { jti, session }, ...(wire && { wire }) };
  } finally {
    await idproxy.stop();
  }
}
