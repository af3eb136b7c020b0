/**
 * A process of its own: streams bodies both ways between two ends, then prints figures and must end by itself.
 * Its arguments: how many bytes each way, and in how many streams.
 */
import { createSocketPair } from '../../support/tunnel-pair.ts';
import { createPair, Heard, openHeard, REQUEST, RESPONSE, until } from './tunnel-pair.ts';
import type { TunnelStream } from '../../../src/tunnel/messages.ts';

const PART = Buffer.alloc(65_536, 'abcdefg');
const [bytes = 0, count = 1] = process.argv.slice(2).map(Number);

/** Writes as far as there is room. @returns what goes on when there is some again */
function createWriter(stream: () => TunnelStream, size: number): () => void {
  let left = size;
  return () => {
    while (left > 0) {
      const part = left < PART.length ? PART.subarray(0, left) : PART;
      left -= part.length;
      if (left === 0) {
        stream().write(part);
        stream().end();
      } else if (!stream().write(part)) {
        return;
      }
    }
  };
}

const size = Math.ceil(bytes / count);
let taken = 0;
const pair = await createPair({
  sockets: await createSocketPair(),
  agent: {
    handlers: {
      onStream: (stream) => {
        const resume = createWriter(() => stream, size);
        const heard = new Heard({ onDrain: resume, onEnd: () => (taken += heard.bytes) });
        heard.stream = stream;
        stream.respond(RESPONSE);
        setImmediate(resume);
        return heard;
      },
    },
  },
});
let peakBytes = 0;
const sample = (): void => void (peakBytes = Math.max(peakBytes, process.memoryUsage.rss()));
const timer = setInterval(sample, 20);
const startBytes = process.memoryUsage.rss();
const startMs = performance.now();
const all = Array.from({ length: count }, () => {
  const resume = createWriter(() => heard.stream as TunnelStream, size);
  const heard: Heard = new Heard({ onDrain: resume });
  openHeard(pair.gateway.connection, false, heard, REQUEST);
  resume();
  return heard;
});
await until(() => all.every(({ isOver }) => isOver) && taken === size * count, 'the end', 300_000);
clearInterval(timer);
sample();
const seconds = (performance.now() - startMs) / 1_000;
const { budget } = pair.gateway;
pair.gateway.connection.close('drain', 'over');
process.stdout.write(
  JSON.stringify({
    isWhole: all.every(({ calls, bytes: got }) => calls.includes('end') && got === size),
    taken,
    held: budget.bufferedBytes + budget.grownBytes,
    growthMb: Math.round((peakBytes - startBytes) / 1_048_576),
    mbPerSecond: Math.round((2 * bytes) / 1_048_576 / seconds),
  }),
);
