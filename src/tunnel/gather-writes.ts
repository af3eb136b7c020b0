/** From what size on a part of a body waits for others of the same turn, in bytes. TLS hands over 16 KB at a time. */
export const BULK_PART_BYTES = 12_288;

/** What holds its writes back until it is told otherwise. */
interface Corkable {
  cork(): void;
  uncork(): void;
}

/** Has the large parts of a body that one turn of the event loop brings leave in one write. Small ones leave as they come. */
export class WriteGatherer {
  #isGathering = false;

  /** To be called before a part is written. */
  gather(to: Corkable, bytes: number): void {
    if (bytes < BULK_PART_BYTES || this.#isGathering) return;
    this.#isGathering = true;
    to.cork();
    setImmediate(() => {
      this.#isGathering = false;
      to.uncork();
    });
  }
}
