/** Requests of agents that one service works on at one time in one process; each may hold a whole webhook in memory. */
export const MAX_SERVICE_CALLS = 64;
/** The same for one connector, so that one alone cannot keep the others from theirs. */
export const MAX_SERVICE_CALLS_PER_CONNECTOR = 16;

/** The requests that one service works on. */
export class Places {
  readonly #taken = new Map<string, number>();
  #total = 0;

  hasRoom(connectorId: string): boolean {
    return this.#total < MAX_SERVICE_CALLS && (this.#taken.get(connectorId) ?? 0) < MAX_SERVICE_CALLS_PER_CONNECTOR;
  }

  /** @returns false where all are taken */
  enter(connectorId: string): boolean {
    if (!this.hasRoom(connectorId)) return false;
    this.#taken.set(connectorId, (this.#taken.get(connectorId) ?? 0) + 1);
    this.#total++;
    return true;
  }

  leave(connectorId: string): void {
    const own = this.#taken.get(connectorId) ?? 0;
    if (own > 1) this.#taken.set(connectorId, own - 1);
    else this.#taken.delete(connectorId);
    this.#total--;
  }
}
