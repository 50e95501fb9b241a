/**
 * Which node does what only one may do (docs/design/decisions/0016-leader-by-heartbeats.md).
 *
 * The catalogue says who leads, in an entry that is written by compare-and-set and only when that changes; heartbeats say that the
 * leader lives. A leader that was deposed without knowing is refused by the order of the journal: what it writes on its own account
 * carries its term.
 */
import {
  messageOf,
  type Clock,
  type Log,
  type Milliseconds,
  type NodeName,
  type Random,
} from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { catalogueKeys, protocolVersion, type LeaderEntry } from "@tocsin/shared/contract";
import { JournalConflict } from "@tocsin/shared/journal";
import type { State } from "../sync/state.ts";
import { peerLostMs, type Peers } from "./peers.ts";

/** How often it is looked at who leads, in milliseconds. */
const lookEveryMs: Milliseconds = 250;
/** A look that comes so late, in milliseconds, tells that this very process stood still. */
const stoodStillMs: Milliseconds = 2_000;
/** A leader that has not heard itself for so long, in milliseconds, cannot know whether it still is one. */
const echoLostMs: Milliseconds = 2_000;
/** Longest random wait of a candidate, in milliseconds, so that mostly one of them writes. */
const jitterMs: Milliseconds = 200;

export interface LeaderOptions {
  readonly node: NodeName;
  readonly boot: string;
  readonly bus: Bus;
  readonly state: State;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class Leader implements Disposable {
  readonly #options: LeaderOptions;
  readonly #stop: () => void;
  readonly #listeners = new Set<(leading: boolean) => void>();
  #leading = false;
  #candidate: (() => void) | undefined;
  #lookedAt: Milliseconds;
  /** Since when others could be heard, by the monotonic clock; undefined: they cannot. */
  #listeningSince: Milliseconds | undefined;

  constructor(options: LeaderOptions) {
    this.#options = options;
    const { clock, peers, state } = options;
    this.#lookedAt = clock.monotonic();
    peers.tells(() => ({ term: this.term, leading: this.#leading }));
    this.#stop = clock.every(lookEveryMs, () => this.#look());
    state.onCatalogue((changed) => {
      if (changed.some(({ value }) => value.kind === "leader")) this.#look();
    });
    this.#look();
  }

  /** Whether this process leads, as far as it can know. */
  get leading(): boolean {
    return this.#leading;
  }

  /** The highest term that the journal has told of. 0: nobody ever led. */
  get term(): number {
    return this.#entry?.term ?? 0;
  }

  /** Who leads by the journal. */
  get holder(): Pick<LeaderEntry, "node" | "boot" | "term"> | undefined {
    return this.#entry;
  }

  onChange(listener: (leading: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#candidate?.();
    this.#leading = false;
  }

  get #entry(): LeaderEntry | undefined {
    const value = this.#options.state.catalogue.get(catalogueKeys.leader)?.value;
    return value?.kind === "leader" ? value : undefined;
  }

  #look(): void {
    const { bus, clock, peers, node, boot } = this.#options;
    const now = clock.monotonic();
    const stood = now - this.#lookedAt > stoodStillMs;
    this.#lookedAt = now;
    if (stood || bus.state !== "connected") {
      this.#listeningSince = undefined;
      return this.#become(false);
    }
    this.#listeningSince ??= now;
    const entry = this.#entry;
    if (entry?.node === node && entry.boot === boot) return this.#become(peers.echoMs < echoLostMs);
    this.#become(false);
    if (this.#isVacant(entry, now)) this.#stand();
  }

  #isVacant(entry: LeaderEntry | undefined, now: Milliseconds): boolean {
    const { node, peers } = this.#options;
    if (entry === undefined) return true;
    if (peers.hears(entry.node, entry.boot)) return false;
    // Another life of this very node, or one that said goodbye: nothing to wait for.
    if (entry.node === node || peers.hasLeft(entry.node, entry.boot)) return true;
    return now - (this.#listeningSince ?? now) >= peerLostMs;
  }

  /** Tries to become the leader after a moment. */
  #stand(): void {
    if (this.#candidate !== undefined) return;
    const { clock, random, peers } = this.#options;
    const delayMs = peers.live().length > 1 ? random() * jitterMs : 0;
    this.#candidate = clock.after(delayMs, () => {
      void this.#claim().finally(() => {
        this.#candidate = undefined;
      });
    });
  }

  async #claim(): Promise<void> {
    const { state, node, boot, log, clock } = this.#options;
    if (!this.#isVacant(this.#entry, clock.monotonic())) return;
    const term = this.term + 1;
    const entry: LeaderEntry = { v: protocolVersion, kind: "leader", node, boot, term };
    const key = catalogueKeys.leader;
    try {
      await state.write(
        "catalogue",
        { key, body: JSON.stringify(entry) },
        { expected: state.catalogue.sequenceOf(key) },
      );
    } catch (error) {
      // Somebody else was faster, and the journal tells who; or the store is away, and the next look tries again.
      if (!(error instanceof JournalConflict))
        log.warn({ term, cause: messageOf(error) }, "leadership cannot be taken yet");
    }
  }

  #become(leading: boolean): void {
    if (leading === this.#leading) return;
    this.#leading = leading;
    this.#options.log.info({ term: this.term, leading }, leading ? "leading now" : "not leading");
    this.#options.peers.beat();
    for (const listener of this.#listeners) listener(leading);
  }
}
