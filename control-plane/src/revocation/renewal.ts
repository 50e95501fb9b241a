import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import {
  protocolVersion,
  RevocationEntry,
  type BatchRevocation,
  type Revocation,
} from "@tocsin/shared/contract";
import { epochKey, journals, type Journal, type Sequence } from "@tocsin/shared/journal";
import type { Leader } from "../leader/leader.ts";
import type { State } from "../sync/state.ts";

/** How often it is looked, in milliseconds. */
const everyMs: Milliseconds = 6 * 3_600_000;
/** Age at which a revocation that outlives the journal is written again, in milliseconds: so there is time for it to fail. */
const renewedAfterMs: Milliseconds = journals.revocations.maxAgeMs / 2;
const slice = 5_000;
/** Of one entry: revocations, and characters of them. */
const maxItems = 500;
const maxLength = 200_000;

export interface RenewalOptions {
  readonly journal: Journal;
  readonly state: Pick<State, "revocations" | "write">;
  readonly leader: Pick<Leader, "leading">;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Writes revocations again that hold for longer than the journal keeps its entries: a client, a key or a block of addresses that is
 * revoked until somebody lifts it. Each node would go on without, but a new one would not know of it, and nobody could list or lift it.
 */
export class Renewal implements Disposable {
  readonly #options: RenewalOptions;
  readonly #stop: () => void;
  #running = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#stop = options.clock.every(everyMs, () => void this.#look());
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  async #look(): Promise<void> {
    const { leader, log, state } = this.#options;
    if (this.#running || !leader.leading) return;
    this.#running = true;
    try {
      let count = 0;
      for (const batch of batchesOf(await this.#due())) {
        if (!leader.leading) return;
        await state.write("revocations", { key: batch.kind, body: JSON.stringify(batch) });
        count += batch.items.length;
      }
      if (count > 0)
        log.info({ count }, "revocations written again, so that the journal keeps them");
    } catch (error) {
      log.warn({ cause: messageOf(error) }, "revocations cannot be written again yet");
    } finally {
      this.#running = false;
    }
  }

  /** What is in force, would be forgotten by the journal before its time, and was not written again lately. */
  async #due(): Promise<Revocation[]> {
    const { journal, state, clock } = this.#options;
    const now = clock.wall();
    const found = new Map<string, { readonly item: Revocation; readonly sequence: Sequence }>();
    const hear = (item: Revocation, sequence: Sequence) => {
      const isLifted = state.revocations.set.liftedAt(item) > (item.at ?? 0);
      // The last copy counts.
      if (outlives(item, item.at) && !isLifted) found.set(item.id, { item, sequence });
    };
    for (let from = 1, last = 1; last > 0; from = last + 1) {
      last = 0;
      for await (const { key, body, sequence } of journal.read(from, slice)) {
        last = sequence;
        if (key === epochKey) continue;
        const entry = readEntry(body);
        if (entry?.kind === "batch") for (const item of entry.items) hear(item, sequence);
        else if (entry !== undefined && isRevocation(entry)) hear(entry, sequence);
      }
    }
    return [...found.values()].flatMap(({ item, sequence }) => {
      const writtenAt = item.renewed?.at ?? item.at!;
      return now - writtenAt < renewedAfterMs || !outlives(item, writtenAt)
        ? []
        : [{ ...item, renewed: { at: now, of: sequence } }];
    });
  }
}

/**
 * Whether the journal forgets it before it has ended.
 *
 * @param writtenAt in Unix milliseconds. Undefined: long ago, when nothing was held for so long
 */
function outlives({ expiresAt }: Revocation, writtenAt: number | undefined): boolean {
  return writtenAt !== undefined && expiresAt * 1_000 > writtenAt + journals.revocations.maxAgeMs;
}

function* batchesOf(items: readonly Revocation[]): Generator<BatchRevocation> {
  let batch: Revocation[] = [];
  let length = 0;
  const entry = (): BatchRevocation => ({ v: protocolVersion, kind: "batch", items: batch });
  for (const item of items) {
    const more = JSON.stringify(item).length;
    if (batch.length === maxItems || (batch.length > 0 && length + more > maxLength)) {
      yield entry();
      batch = [];
      length = 0;
    }
    batch.push(item);
    length += more;
  }
  if (batch.length > 0) yield entry();
}

function isRevocation(entry: RevocationEntry): entry is Revocation {
  return (
    entry.kind !== "batch" &&
    entry.kind !== "lifting" &&
    entry.kind !== "fingerprints" &&
    entry.kind !== "fingerprint-key"
  );
}

function readEntry(body: string): RevocationEntry | undefined {
  try {
    return RevocationEntry.parse(JSON.parse(body));
  } catch {
    // What this version does not understand it leaves alone.
    return undefined;
  }
}
