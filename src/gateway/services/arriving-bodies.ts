import { PART_OVERHEAD_BYTES } from '../../tunnel/limits.ts';

/** Requests of one connector for one service whose bodies are still on their way, at most. */
export const MAX_ARRIVING_PER_CONNECTOR = 16;
/** What the bodies on their way to one service hold together in one process, in bytes; then the connector that holds most loses one. */
export const MAX_ARRIVING_BYTES = 33_554_432;

/** A body that is on its way. */
export interface ArrivingBody {
  /** Counts a part of it. */
  add(bytes: number): void;
  /** It is whole, or given up. */
  leave(): void;
}

interface Entry {
  bytes: number;
  readonly cut: () => void;
}

/**
 * The bodies on their way to one service. They take no place of the service before they are whole.
 * SECURITY: they are bounded for each connector and by their bytes, never by a number for all: bodies that never end
 * would keep the others' out.
 */
export class ArrivingBodies {
  readonly #connectors = new Map<string, Set<Entry>>();
  #bytes = 0;

  /**
   * @param cut gives the body up, and leaves
   * @returns undefined where the connector has too many
   */
  begin(connectorId: string, cut: () => void): ArrivingBody | undefined {
    const own = this.#connectors.get(connectorId) ?? new Set();
    if (own.size >= MAX_ARRIVING_PER_CONNECTOR) return undefined;
    const entry: Entry = { bytes: 0, cut };
    this.#connectors.set(connectorId, own.add(entry));
    return {
      add: (bytes) => {
        if (!own.has(entry)) return;
        entry.bytes += bytes + PART_OVERHEAD_BYTES;
        this.#bytes += bytes + PART_OVERHEAD_BYTES;
        if (this.#bytes > MAX_ARRIVING_BYTES) this.#findFullest()?.cut();
      },
      leave: () => {
        if (!own.delete(entry)) return;
        this.#bytes -= entry.bytes;
        if (own.size === 0) this.#connectors.delete(connectorId);
      },
    };
  }

  /** Of the connector that holds most, the body that holds most. */
  #findFullest(): Entry | undefined {
    let most = -1;
    let fullest: Entry | undefined;
    for (const own of this.#connectors.values()) {
      const entries = [...own];
      const held = entries.reduce((sum, { bytes }) => sum + bytes, 0);
      if (held <= most) continue;
      most = held;
      fullest = entries.reduce((one, other) => (other.bytes > one.bytes ? other : one));
    }
    return fullest;
  }
}
