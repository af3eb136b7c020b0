import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readStatus, toRequest } from '../../../bench/http-connection.ts';

describe('HTTP over a plain socket', () => {
  const WHOLE = 'HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnope';

  it('reads the status once the whole answer is there', () => {
    for (let length = 0; length < WHOLE.length; length += 1) {
      assert.equal(readStatus(Buffer.from(WHOLE.slice(0, length))), undefined, WHOLE.slice(0, length));
    }
    assert.equal(readStatus(Buffer.from(WHOLE)), 401);
  });

  it('refuses an answer without its length', () =>
    assert.throws(() => readStatus(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')), /length/));

  it('writes a request with its fields and the length of its body in bytes', () => {
    const request = toRequest(new URL('http://127.0.0.1:81/a/b'), { 'content-type': 'text/plain' }, 'ä');
    const head = 'POST /a/b HTTP/1.1\r\nhost: 127.0.0.1:81\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n';
    assert.equal(request.toString(), `${head}ä`);
  });
});
