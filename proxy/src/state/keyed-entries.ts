import { z } from "zod";
import type { Epoch, Sequence } from "@tocsin/shared/journal";
import type { ReplicaTable } from "@tocsin/shared/replica";

/** The last entry per key, as it was recorded, for the file that a restart begins with. */
export class KeyedEntries {
  readonly #entries = new Map<string, readonly [Sequence, string]>();

  set(key: string, body: string, sequence: Sequence): void {
    this.#entries.set(key, [sequence, body]);
  }

  get(key: string): readonly [Sequence, string] | undefined {
    return this.#entries.get(key);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  dump(): Uint8Array {
    return Buffer.from(
      JSON.stringify([...this.#entries].map(([key, [sequence, body]]) => [sequence, key, body])),
    );
  }
}

const Dumped = z.array(z.tuple([z.int().min(0), z.string(), z.string()]));

/**
 * Gives a table what {@link KeyedEntries.dump} wrote down.
 *
 * @throws Error when any of it is not understood: half a snapshot is worse than none
 */
export function loadKeyed<Change>(
  table: ReplicaTable<Change>,
  dump: Uint8Array,
  epoch: Epoch,
): void {
  const entries = Dumped.parse(JSON.parse(Buffer.from(dump).toString()));
  table.load(
    entries.map(([sequence, key, body]) => ({
      change: table.decode({ sequence, key, body, epoch }),
      key,
      sequence,
    })),
  );
}
