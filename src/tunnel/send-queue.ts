/** What one stream has written and not sent yet. */
export class SendQueue {
  #chunks: Buffer[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Takes the next piece, of `maxBytes` at most. The queue must not be empty. */
  take(maxBytes: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    const piece = first.length <= maxBytes ? first : first.subarray(0, maxBytes);
    if (piece === first) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(maxBytes);
    this.#bytes -= piece.length;
    return piece;
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
  }
}
