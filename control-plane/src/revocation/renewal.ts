import { createHash } from "node:crypto";
import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import { protocolVersion, type BatchRevocation, type Revocation } from "@tocsin/shared/contract";
import {
  JournalConflict,
  journals,
  type Journal,
  type JournalKey,
  type Sequence,
} from "@tocsin/shared/journal";
import type { Leader } from "../leader/leader.ts";
import type { State } from "../sync/state.ts";
import { revocationsIn, walk } from "./walk.ts";

/** How long after the start it is looked first, in milliseconds: a node that never lives for long has its turn, too. */
const firstAfterMs: Milliseconds = 300_000;
/** How often it is looked, in milliseconds. */
const everyMs: Milliseconds = 6 * 3_600_000;
/** Age at which a revocation that outlives the journal is written again, in milliseconds: so there is time for it to fail. */
const renewedAfterMs: Milliseconds = journals.revocations.maxAgeMs / 2;

export interface RenewalOptions {
  readonly journal: Journal;
  readonly state: Pick<State, "revocations" | "write">;
  readonly leader: Pick<Leader, "leading">;
  readonly clock: Clock;
  readonly log: Log;
}

interface Due {
  readonly item: Revocation;
  /** Where its last copy stands. */
  readonly sequence: Sequence;
}

/**
 * Writes revocations again that hold for longer than the journal keeps its entries: a client, a key or a block of addresses that is
 * revoked until somebody lifts it. Each node would go on without, but a new one would not know of it, and nobody could list or lift it.
 *
 * Each is an entry of its own, under a key that its id and the copy before make up, of which there can be one: a leader that was deposed
 * in the middle, and its successor, write it once all the same.
 */
export class Renewal implements Disposable {
  readonly #options: RenewalOptions;
  readonly #stop: (() => void)[];
  #running = false;
  #isOver = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    const { clock } = options;
    this.#stop = [
      clock.after(firstAfterMs, () => void this.#look()),
      clock.every(everyMs, () => void this.#look()),
    ];
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const stop of this.#stop) stop();
  }

  async #look(): Promise<void> {
    const { leader, log } = this.#options;
    if (this.#running || !leader.leading) return;
    this.#running = true;
    let count = 0;
    try {
      for (const due of await this.#due()) {
        if (!leader.leading || this.#isOver) break;
        if (await this.#write(due)) count += 1;
      }
    } catch (error) {
      if (!this.#isOver)
        log.warn({ cause: messageOf(error) }, "revocations cannot be written again yet");
    } finally {
      this.#running = false;
    }
    if (count > 0) log.info({ count }, "revocations written again, so that the journal keeps them");
  }

  /** What is in force, would be forgotten by the journal before its time, and was not written again lately. */
  async #due(): Promise<Due[]> {
    const { journal, leader, clock } = this.#options;
    const now = clock.wall();
    const found = new Map<string, Due>();
    for await (const { entry, sequence } of walk(journal)) {
      if (!leader.leading || this.#isOver) return [];
      for (const item of revocationsIn(entry))
        // The last copy counts.
        if (outlives(item, item.at) && !this.#isLifted(item))
          found.set(item.id, { item, sequence });
    }
    return [...found.values()].filter(({ item }) => {
      const writtenAt = item.renewed?.at ?? item.at!;
      return now - writtenAt >= renewedAfterMs && outlives(item, writtenAt);
    });
  }

  /** @returns false: it was lifted meanwhile, or somebody else has written it */
  async #write({ item, sequence }: Due): Promise<boolean> {
    const { state, clock } = this.#options;
    if (this.#isLifted(item)) return false;
    const entry: BatchRevocation = {
      v: protocolVersion,
      kind: "batch",
      items: [{ ...item, renewed: { at: clock.wall(), of: sequence } }],
    };
    try {
      await state.write(
        "revocations",
        { key: keyOf(item, sequence), body: JSON.stringify(entry) },
        { expected: 0 },
      );
      return true;
    } catch (error) {
      if (!(error instanceof JournalConflict)) throw error;
      return false;
    }
  }

  #isLifted(item: Revocation): boolean {
    return this.#options.state.revocations.set.liftedAt(item) > (item.at ?? 0);
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

function keyOf({ id }: Revocation, of: Sequence): JournalKey {
  return `renewal.${createHash("sha256").update(`${id} ${of}`).digest("hex").slice(0, 32)}`;
}
