import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { RESET_CODES } from '../../../src/tunnel/codes.ts';
import {
  INITIAL_WINDOW_BYTES,
  MAX_CONNECTION_GROWTH_BYTES,
  MAX_PROCESS_BUFFER_BYTES,
  MAX_PROCESS_GROWTH_BYTES,
  MAX_WINDOW_BYTES,
  PART_OVERHEAD_BYTES,
  STREAM_QUEUE_BYTES,
} from '../../../src/tunnel/limits.ts';
import type { TunnelStream } from '../../../src/tunnel/messages.ts';
import { createBufferBudget, ReceiveWindow } from '../../../src/tunnel/receive-window.ts';
import { createCertificateAuthority } from '../../support/certificate-authority.ts';
import { startChild } from '../../support/child.ts';
import {
  createPair,
  createRawPair,
  END,
  Heard,
  openHeard,
  type Pair,
  REQUEST,
  RESPONSE,
  toBytes,
  toJsonBytes,
  toNumber,
  TYPE,
  until,
} from './tunnel-pair.ts';

const HOST = '127.0.0.1';
const MB = 1_048_576;
const CHILD = fileURLToPath(new URL('bulk-child.js', import.meta.url));

const response = (id: number): Buffer => toJsonBytes(TYPE.response, 0, id, RESPONSE);
const request = (id: number): Buffer => toJsonBytes(TYPE.request, 0, id, REQUEST);
const data = (id: number, bytes: number): Buffer => toBytes(TYPE.data, 0, id, Buffer.alloc(bytes));
const sizes = ({ frames }: { readonly frames: readonly { type: number; id: number; payload: Buffer }[] }, id: number) =>
  frames.filter((one) => one.type === TYPE.data && one.id === id).map(({ payload }) => payload.length);
const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Two ends of TLS, both authenticated. */
async function createTlsPair(): Promise<readonly [Duplex, Duplex]> {
  const authority = await createCertificateAuthority('flow');
  const issued = await authority.issue({ commonName: 'both', names: 'DNS:localhost,IP:127.0.0.1' });
  const identity = { key: issued.key, cert: issued.cert, ca: authority.cert };
  const server = createServer({ ...identity, requestCert: true }).listen(0, HOST);
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const dialled = connect({ ...identity, host: HOST, port: (server.address() as AddressInfo).port }).setNoDelay(true);
  await once(dialled, 'secureConnect');
  const [taken] = await accepted;
  server.close();
  await authority.remove();
  return [taken, dialled];
}

describe('the window of a stream', () => {
  it('stops a writer whose reader does not consume, and lets it go on later', async () => {
    const pair = await createPair({ agent: { isReading: false } });
    const { stream, heard } = openHeard(pair.gateway.connection, false);
    await until(() => pair.agent.taken.length === 1);
    const [{ stream: reader, heard: read }] = pair.agent.taken as [Pair['agent']['taken'][number]];
    assert.equal(stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES)), true);
    assert.equal(stream.write(Buffer.alloc(STREAM_QUEUE_BYTES)), false);
    await until(() => read.bytes === INITIAL_WINDOW_BYTES);
    await until(
      () => pair.gateway.connection.roundTripMs !== undefined && pair.agent.connection.roundTripMs !== undefined,
    );
    assert.deepEqual([read.bytes, stream.queuedBytes], [INITIAL_WINDOW_BYTES, STREAM_QUEUE_BYTES]);
    reader.consumed(INITIAL_WINDOW_BYTES / 2 - 1);
    const [pong, other] = [openHeard(pair.gateway.connection, true), pair.agent.taken];
    await until(() => other.length === 2);
    other[1]?.stream.respond(RESPONSE, true);
    await until(() => pong.heard.isOver);
    assert.deepEqual([read.bytes, heard.calls], [INITIAL_WINDOW_BYTES, []]);
    reader.consumed(1);
    await until(() => heard.calls.length === 1);
    assert.equal(heard.calls[0], 'drain');
    reader.consumed(INITIAL_WINDOW_BYTES);
    await until(() => stream.queuedBytes === 0);
    await pair.stop();
    assert.deepEqual([pair.agent.budget.bufferedBytes, pair.agent.budget.grownBytes], [0, 0]);
  });

  it('is never overrun by this end, whatever it is granted', async () => {
    const pair = await createRawPair();
    const { stream } = openHeard(pair.end.connection, false);
    stream.write(Buffer.alloc(10));
    for (let at = 0; at < 40; at++) stream.write(Buffer.alloc(5_000));
    await pair.settle();
    assert.equal(sum(sizes(pair, 1)), INITIAL_WINDOW_BYTES);
    for (const grant of [1, 1, 70, 4_999, 5_001, 100_000, 100_000]) {
      const before = sum(sizes(pair, 1));
      pair.send(toBytes(TYPE.window, 0, 1, toNumber(grant)));
      await until(() => sum(sizes(pair, 1)) >= Math.min(before + grant, 200_010));
      await pair.settle();
      assert.equal(sum(sizes(pair, 1)), Math.min(before + grant, 200_010));
    }
    stream.end();
    await until(() => pair.frames.at(-1)?.flags === END);
    pair.stop();
  });

  it('is not widened by what never came', async () => {
    const pair = await createRawPair({ isReading: false });
    pair.send(request(2), data(2, 40_000));
    await until(() => pair.end.taken[0]?.heard.bytes === 40_000);
    const { stream } = pair.end.taken[0] as Pair['agent']['taken'][number];
    for (const bytes of [Number.NaN, -5, 0]) stream.consumed(bytes);
    stream.consumed(Number.POSITIVE_INFINITY);
    stream.consumed(1_000_000);
    const { payload } = await pair.frame(TYPE.window, 2);
    await pair.settle();
    assert.equal(payload.readUInt32BE(), 40_000);
    assert.equal(pair.frames.filter(({ type }) => type === TYPE.window).length, 1);
    assert.equal(pair.end.budget.bufferedBytes, 0);
    pair.stop();
  });

  it('grants nothing once the body is whole', async () => {
    const pair = await createRawPair();
    pair.send(request(2), toBytes(TYPE.data, END, 2, Buffer.alloc(60_000)));
    await until(() => pair.end.taken[0]?.heard.calls.includes('end') === true);
    pair.end.taken[0]?.stream.consumed(60_000);
    await pair.settle();
    assert.equal(pair.end.budget.bufferedBytes, 0);
    pair.stop();
  });
});

describe('a writer that is told to wait', () => {
  it('hears when to go on, though it wrote more meanwhile', async () => {
    const pair = await createRawPair();
    const { stream, heard } = openHeard(pair.end.connection, false);
    const credit = (bytes: number): void => pair.send(toBytes(TYPE.window, 0, 1, toNumber(bytes)));
    const wrote = [stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES)), stream.write(Buffer.alloc(STREAM_QUEUE_BYTES))];
    await until(() => stream.queuedBytes === STREAM_QUEUE_BYTES);
    credit(STREAM_QUEUE_BYTES / 4);
    await until(() => stream.queuedBytes === (STREAM_QUEUE_BYTES / 4) * 3);
    wrote.push(stream.write(Buffer.alloc(1)));
    assert.deepEqual([wrote, heard.calls], [[true, false, false], []]);
    credit(STREAM_QUEUE_BYTES);
    await until(() => stream.queuedBytes === 0);
    assert.deepEqual([heard.calls, stream.write(Buffer.alloc(1))], [['drain'], true]);
    pair.stop();
  });

  it('hears it though it has ended, so that what it holds elsewhere is let go', async () => {
    const pair = await createRawPair();
    const { stream, heard } = openHeard(pair.end.connection, false);
    stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES));
    assert.equal(stream.write(Buffer.alloc(40_000)), false);
    stream.end();
    await until(() => stream.queuedBytes === 40_000);
    assert.deepEqual(heard.calls, []);
    pair.send(toBytes(TYPE.window, 0, 1, toNumber(40_000)));
    await until(() => stream.queuedBytes === 0);
    assert.deepEqual(heard.calls, ['drain']);
    pair.stop();
  });
});

describe('ReceiveWindow', () => {
  const fill = (window: ReceiveWindow, bytes: number, nowMs: number): number => {
    assert.equal(window.take(bytes), true);
    return window.consume(bytes, nowMs, 50);
  };

  it('grows where it slows the other end down, and not where it does not', () => {
    const [connection, budget] = [createBufferBudget(), createBufferBudget()];
    const window = new ReceiveWindow(connection, budget, () => undefined);
    assert.equal(fill(window, 65_536, 1_000), 65_536);
    assert.equal(fill(window, 65_536, 1_100), 65_536);
    assert.equal(fill(window, 65_536, 1_199), 131_072);
    assert.deepEqual([connection.grownBytes, budget.grownBytes], [65_536, 65_536]);
    for (let at = 0; at < 400; at++) fill(window, 65_536, 1_200);
    assert.equal(connection.grownBytes, MAX_WINDOW_BYTES - INITIAL_WINDOW_BYTES);
    window.release();
    window.release();
    assert.deepEqual(
      [connection.grownBytes, budget.grownBytes, budget.bufferedBytes, budget.holders.size],
      [0, 0, 0, 0],
    );
  });

  it('grows no further than its connection and its process may', () => {
    const budget = createBufferBudget();
    for (const most of [MAX_CONNECTION_GROWTH_BYTES, MAX_PROCESS_GROWTH_BYTES, MAX_PROCESS_GROWTH_BYTES]) {
      const connection = createBufferBudget();
      for (let at = 0; at < 10; at++) {
        const window = new ReceiveWindow(connection, budget, () => undefined);
        for (let turn = 0; turn < 400; turn++) fill(window, 65_536, 1);
      }
      assert.ok(connection.grownBytes <= MAX_CONNECTION_GROWTH_BYTES && budget.grownBytes <= most);
    }
    assert.ok(budget.grownBytes > MAX_PROCESS_GROWTH_BYTES - MAX_WINDOW_BYTES);
  });

  it('counts what each part costs, and is left with nothing', () => {
    const budget = createBufferBudget();
    const window = new ReceiveWindow(createBufferBudget(), budget, () => undefined);
    for (let at = 0; at < 100; at++) window.take(1);
    assert.equal(budget.bufferedBytes, 100 * (1 + PART_OVERHEAD_BYTES));
    for (let at = 0; at < 33; at++) window.settle(3);
    assert.ok(budget.bufferedBytes > 0 && budget.bufferedBytes < 2 * (1 + PART_OVERHEAD_BYTES));
    window.settle(1);
    assert.deepEqual([budget.bufferedBytes, budget.holders.size], [0, 0]);
  });
});

describe('the memory of a process', () => {
  it('is freed by the stream that holds most, on whichever connection; the others go on', async () => {
    const budget = createBufferBudget();
    const ends = await Promise.all([0, 1].map(() => createPair({ agent: { isReading: false, budget } })));
    const [one, other] = ends as [Pair, Pair];
    const [small, large] = [openHeard(one.gateway.connection, false), openHeard(one.gateway.connection, false)];
    small.stream.write(Buffer.alloc(5_000));
    large.stream.write(Buffer.alloc(60_000));
    await until(() => one.agent.taken[0]?.heard.bytes === 5_000 && one.agent.taken[1]?.heard.bytes === 60_000);
    // As if other connections held the rest.
    const elsewhere = MAX_PROCESS_BUFFER_BYTES - budget.bufferedBytes - 20_000;
    budget.bufferedBytes += elsewhere;
    const bystander = openHeard(other.gateway.connection, false);
    bystander.stream.write(Buffer.alloc(30_000));
    await until(() => large.heard.isOver && other.agent.taken[0]?.heard.bytes === 30_000);
    assert.deepEqual([large.heard.calls, one.agent.taken[1]?.heard.calls], [['reset limit'], ['data', 'reset limit']]);
    assert.deepEqual([small.heard.isOver, bystander.heard.isOver, one.agent.closes], [false, false, []]);
    small.stream.reset('cancelled');
    bystander.stream.reset('cancelled');
    await until(() => budget.holders.size === 0);
    assert.equal(budget.bufferedBytes, elsewhere);
    await Promise.all(ends.map((pair) => pair.stop()));
  });

  it('is freed by the connection that holds most, though each of its streams holds little', async () => {
    const budget = createBufferBudget();
    const ends = await Promise.all([0, 1].map(() => createPair({ agent: { isReading: false, budget } })));
    const [honest, hostile] = ends as [Pair, Pair];
    const bulk = openHeard(honest.gateway.connection, false);
    bulk.stream.write(Buffer.alloc(60_000));
    const hoards = Array.from({ length: 10 }, () => openHeard(hostile.gateway.connection, false));
    for (const { stream } of hoards) stream.write(Buffer.alloc(20_000));
    const received = ({ agent }: Pair): number => sum(agent.taken.map(({ heard }) => heard.bytes));
    await until(() => received(honest) === 60_000 && received(hostile) === 200_000);
    budget.bufferedBytes += MAX_PROCESS_BUFFER_BYTES - budget.bufferedBytes;
    hoards[0]?.stream.write(Buffer.alloc(1));
    await until(() => [bulk, ...hoards].some(({ heard }) => heard.isOver));
    assert.deepEqual([bulk.heard.calls, hoards[0]?.heard.calls], [[], ['reset limit']]);
    assert.equal(hoards.filter(({ heard }) => heard.isOver).length, 1);
    await Promise.all(ends.map((pair) => pair.stop()));
  });

  it('is not taken by a stream that nobody reads', async () => {
    const pair = await createRawPair({ handlers: { onStream: () => undefined } });
    pair.send(request(2), data(2, 40_000));
    assert.equal((await pair.frame(TYPE.window, 2)).payload.readUInt32BE(), 40_000);
    assert.deepEqual([pair.end.budget.bufferedBytes, pair.end.budget.holders.size], [0, 0]);
    pair.stop();
  });

  const ANSWERS: Record<string, (stream: TunnelStream) => void> = {
    'a head alone': (stream) => stream.respond(RESPONSE, true),
    'a head and a body': (stream) => {
      stream.respond(RESPONSE);
      stream.write(Buffer.alloc(100));
      stream.end();
    },
  };
  for (const [what, answer] of Object.entries(ANSWERS)) {
    it(`an ignored stream is cut behind its answer, and not before: ${what}`, async () => {
      const pair = await createRawPair({ handlers: { onStream: (stream) => answer(stream) as undefined } });
      pair.send(request(2), data(2, 10_000));
      const { payload } = await pair.frame(TYPE.reset, 2);
      assert.equal(payload.readUInt32BE(), RESET_CODES.refused);
      const order = pair.frames.filter(({ id }) => id === 2).map(({ type, flags }) => [type, flags]);
      assert.deepEqual(order.at(-1)?.[0], TYPE.reset);
      assert.deepEqual(order.at(-2)?.[1], END);
      pair.send(data(2, 65_536), data(2, 65_536), toBytes(TYPE.data, END, 2, Buffer.alloc(1)));
      await pair.settle();
      assert.deepEqual([pair.end.budget.bufferedBytes, pair.end.connection.streamCount, pair.end.closes], [0, 0, []]);
      pair.stop();
    });
  }

  it('an ignored stream whose request is whole is over without a word', async () => {
    const pair = await createRawPair({
      handlers: { onStream: (stream) => stream.respond(RESPONSE, true) as undefined },
    });
    pair.send(toJsonBytes(TYPE.request, END, 2, REQUEST));
    await pair.frame(TYPE.response, 2);
    await pair.settle();
    assert.equal(pair.frames.filter(({ type }) => type === TYPE.reset).length, 0);
    assert.equal(pair.end.connection.streamCount, 0);
    pair.stop();
  });

  it('is freed by one that is complete and unread, too', async () => {
    const budget = createBufferBudget();
    const pair = await createRawPair({ budget });
    const [whole, part] = [0, 1].map(() => openHeard(pair.end.connection, true, new Heard({}, false)));
    pair.send(response(1), toBytes(TYPE.data, END, 1, Buffer.alloc(60_000)), response(3), data(3, 10_000));
    await until(() => part?.heard.bytes === 10_000);
    assert.equal(whole?.stream.isClosed, true);
    budget.bufferedBytes += MAX_PROCESS_BUFFER_BYTES - budget.bufferedBytes;
    pair.send(data(3, 10_000));
    await until(() => part?.heard.bytes === 20_000);
    assert.deepEqual(whole.heard.calls, ['response 200', 'data', 'end', 'reset limit']);
    assert.deepEqual([part?.heard.isOver, pair.end.closes], [false, []]);
    await pair.settle();
    assert.equal(pair.frames.filter(({ type }) => type === TYPE.reset).length, 0);
    pair.stop();
  });

  it('is not kept by a few bytes of a large read', async () => {
    const kept: Buffer[] = [];
    const pair = await createRawPair({
      handlers: { onStream: () => new Heard({ onData: (part) => kept.push(part) }, false) },
    });
    pair.send(
      request(2),
      ...Array.from({ length: 40 }, () => Buffer.concat([data(2, 7), toBytes(99, 0, 0, Buffer.alloc(60_000))])),
    );
    await until(() => kept.length === 40);
    await pair.settle();
    assert.ok(kept.every((part) => part.buffer.byteLength <= 4 * part.length));
    assert.ok(kept.every((part) => part.equals(Buffer.alloc(7))));
    pair.stop();
  });
});

describe('many streams', () => {
  it('take turns, one frame each', async () => {
    const pair = await createRawPair();
    const streams = Array.from({ length: 5 }, () => openHeard(pair.end.connection, false).stream);
    for (const { id } of streams) pair.send(toBytes(TYPE.window, 0, id, toNumber(8 * MB)));
    await pair.settle();
    for (const stream of streams) stream.write(Buffer.alloc(2 * MB));
    await until(() => sum(streams.map(({ id }) => sum(sizes(pair, id)))) === 10 * MB);
    const order = pair.frames.filter(({ type }) => type === TYPE.data).map(({ id }) => id);
    const isInTurn = order.every((id, at) => !order.slice(Math.max(0, at - 4), at).includes(id));
    assert.ok(isInTurn, order.join(' '));
    pair.stop();
  });

  it('a small one does not wait for a large one', async () => {
    const pair = await createRawPair();
    const large = openHeard(pair.end.connection, false).stream;
    pair.send(toBytes(TYPE.window, 0, 1, toNumber(64 * MB)));
    await pair.settle();
    large.write(Buffer.alloc(40 * MB));
    await until(() => sizes(pair, 1).length > 0);
    const small = openHeard(pair.end.connection, false).stream;
    small.write(Buffer.alloc(1_000));
    await until(() => sizes(pair, 3).length > 0);
    const begun = pair.frames.findIndex(({ type, id }) => type === TYPE.request && id === 3);
    const sent = pair.frames.findIndex(({ type, id }) => type === TYPE.data && id === 3);
    assert.ok(sent - begun <= 2, `${sent - begun} frames between`);
    assert.ok(large.queuedBytes > 0);
    pair.stop();
  });

  it('one that is not read does not stop the others', async () => {
    let isSlow = true;
    const pair = await createPair({
      agent: {
        handlers: {
          onStream: (stream) => {
            const heard = new Heard({}, !isSlow);
            isSlow = false;
            heard.stream = stream;
            return heard;
          },
        },
      },
    });
    const slow = openHeard(pair.gateway.connection, false).stream;
    slow.write(Buffer.alloc(MB));
    const fast = openHeard(pair.gateway.connection, false).stream;
    fast.write(Buffer.alloc(5 * MB));
    await until(() => fast.queuedBytes === 0, 'the end of the fast one');
    assert.equal(slow.queuedBytes, MB - INITIAL_WINDOW_BYTES);
    await pair.stop();
  });

  for (const [name, sockets] of Object.entries({ TLS: createTlsPair, TCP: undefined })) {
    it(`ten echoes of 10 MB each way at once come to their end over ${name}`, async () => {
      const echo = (stream: TunnelStream): Heard => {
        let held = 0;
        stream.respond(RESPONSE);
        return new Heard(
          {
            onData: (part) => {
              if (stream.write(part)) stream.consumed(part.length);
              else held += part.length;
            },
            onDrain: () => {
              stream.consumed(held);
              held = 0;
            },
            onEnd: () => stream.end(),
          },
          false,
        );
      };
      const options = { handlers: { onStream: echo } };
      const pair = await createPair({
        gateway: options,
        agent: options,
        ...(sockets !== undefined && { sockets: await sockets() }),
      });
      const all = [pair.gateway, pair.agent].flatMap(({ connection }) =>
        Array.from({ length: 10 }, () => {
          const { stream, heard } = openHeard(connection, false);
          stream.write(Buffer.alloc(10 * MB));
          stream.end();
          return heard;
        }),
      );
      await until(() => all.every(({ isOver }) => isOver), 'the end of all', 120_000);
      assert.ok(all.every(({ bytes, calls }) => bytes === 10 * MB && calls.includes('end')));
      for (const { budget } of [pair.gateway, pair.agent]) {
        assert.deepEqual([budget.bufferedBytes, budget.grownBytes, budget.holders.size], [0, 0, 0]);
      }
      await pair.stop();
    });
  }

  it('300 MB each way stay in little memory, and the process ends by itself', async () => {
    const child = await startChild({
      command: process.execPath,
      args: [CHILD, String(300 * MB), '4'],
      cwd: process.cwd(),
    });
    assert.deepEqual(await child.exited, { code: 0, signal: null }, child.stderr());
    const figures = JSON.parse(child.stdout()) as Readonly<Record<string, number>>;
    assert.deepEqual([figures['isWhole'], figures['taken'], figures['held']], [true, 300 * MB, 0]);
    assert.ok((figures['growthMb'] as number) < 200, child.stdout());
  });
});
