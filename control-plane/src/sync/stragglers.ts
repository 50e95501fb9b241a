import { messageOf, type Log, type NodeName } from "@tocsin/shared";
import type { Epoch, Journal, Sequence } from "@tocsin/shared/journal";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { heldSets, type Fleet, type Standing } from "./recall.ts";

export interface StragglersOptions {
  readonly fleet: Fleet;
  /** The revocations. */
  readonly journal: Journal;
  /** Adds to the journal what somebody holds and this node does not. */
  readonly add: (set: RevocationSet) => Promise<void>;
  readonly log: Log;
}

/** Epochs that are remembered. */
const remembered = 64;

/**
 * Proxies that come back after the store has lost what they hold. A revocation that only they know is never given up: who stands
 * where this node and its store never stood is asked, one proxy at a time.
 */
export class Stragglers {
  readonly #options: StragglersOptions;
  /** How far this node knows each epoch. */
  readonly #reached = new Map<Epoch, Sequence>();
  readonly #waiting = new Map<NodeName, Standing>();
  #asking = false;

  constructor(options: StragglersOptions) {
    this.#options = options;
  }

  /** This node has applied an epoch so far. */
  reached(epoch: Epoch, applied: Sequence): void {
    if ((this.#reached.get(epoch) ?? -1) >= applied) return;
    this.#reached.delete(epoch);
    this.#reached.set(epoch, applied);
    if (this.#reached.size > remembered) this.#reached.delete(this.#reached.keys().next().value!);
  }

  /** A proxy says where it stands. Cheap when that is nothing new. */
  hear(standing: Standing): void {
    if (this.#knows(standing)) return;
    this.#waiting.set(standing.proxy, standing);
    if (!this.#asking) void this.#ask();
  }

  #knows({ epoch, applied }: Standing): boolean {
    return (this.#reached.get(epoch) ?? 0) >= applied;
  }

  async #ask(): Promise<void> {
    const { fleet, journal, add, log } = this.#options;
    this.#asking = true;
    for (;;) {
      // Who has applied most first: the others may have nothing beyond that.
      const next = [...this.#waiting.values()].toSorted((a, b) => b.applied - a.applied)[0];
      if (next === undefined) break;
      this.#waiting.delete(next.proxy);
      if (this.#knows(next)) continue;
      try {
        // A proxy may hear of an entry before this node does.
        const { epoch, head } = await journal.head();
        if (next.epoch === epoch && next.applied <= head) continue;
        const holdings = await fleet.collect(["revocations"], [next.proxy]);
        for (const set of heldSets(holdings, log)) await add(set);
        if (holdings.length > 0) this.reached(next.epoch, next.applied);
      } catch (error) {
        log.warn(
          { proxy: next.proxy, cause: messageOf(error) },
          "what a proxy holds cannot be taken over yet",
        );
      }
    }
    this.#asking = false;
  }
}
