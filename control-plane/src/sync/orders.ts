/** Orders: what is appended so that the whole fleet does it, and the proof that it did. */
import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import { ackOf, subjects, type Bus, type Message } from "@tocsin/shared/bus";
import { Ack, type OrderAnswer } from "@tocsin/shared/contract";
import {
  JournalConflict,
  type Appended,
  type Entry,
  type JournalName,
  type Journals,
  type OperationId,
  type Sequence,
} from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";
import { findAgain } from "./find-again.ts";
import type { Proxies } from "./proxies.ts";
import type { State } from "./state.ts";
import { Tally, type Standing } from "./tally.ts";

export interface OrdersOptions {
  readonly bus: Bus;
  readonly journals: Journals;
  readonly state: State;
  readonly proxies: Proxies;
  readonly clock: Clock;
  readonly log: Log;
}

/** One entry of an order. */
export interface Part {
  readonly entry: Entry;
  /** Not used for another entry. */
  readonly operation: OperationId;
  readonly expected?: Sequence;
}

/** An order of one entry. */
export interface Order extends Part {
  readonly journal: JournalName;
  /** How long to wait for the proxies. 0: not at all. */
  readonly waitMs: Milliseconds;
}

/** An order of one entry or several. */
export interface LongOrder {
  readonly journal: JournalName;
  /** What the one who gave it calls it. */
  readonly operation: OperationId;
  /** At least one. They are appended one after the other; all of them are waited for together. */
  readonly parts: readonly Part[];
  /**
   * Whether a part that was recorded before says the same as this one. With it a part that was recorded before is no conflict but a
   * repetition, however long ago that was; without it repetition is left to the journal.
   */
  readonly same?: (recorded: string, part: Part) => boolean;
  /** How long to wait for the proxies. 0: not at all. */
  readonly waitMs: Milliseconds;
  /** Told after each part. */
  readonly onDurable?: (parts: number) => void;
}

/** A proxy has applied an order. */
export interface ProvenApplication {
  readonly journal: JournalName;
  /** From the order to the proof, by the clock of this node alone. */
  readonly afterMs: Milliseconds;
}

interface Placed extends Appended {
  /** This node's own tables have shown it, so that nothing that happens to the store takes it away. */
  readonly seen: boolean;
}

export class Orders {
  readonly #options: OrdersOptions;
  readonly #open = new Set<Tally>();
  readonly #listeners: ((applied: ProvenApplication) => void)[] = [];

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  async listen(): Promise<AsyncDisposable> {
    return this.#options.bus.subscribe(subjects.acks, (message) => this.#hear(message));
  }

  /** Called for each proxy that is known to have applied an order while it was waited for. */
  onApplied(listener: (applied: ProvenApplication) => void): void {
    this.#listeners.push(listener);
  }

  /** {@link placeAll} of one entry. */
  place({ journal, waitMs, ...part }: Order): Promise<OrderAnswer> {
    return this.placeAll({ journal, waitMs, operation: part.operation, parts: [part] });
  }

  /**
   * Appends an order and waits until every live proxy has applied it, or the time is up.
   *
   * @throws JournalConflict, JournalUnavailable as the journal does: the part that failed, and those after it, are in force nowhere or
   * can be repeated
   * @throws Declined 409 when the operation was used for something else; 503 when the journal began anew meanwhile, and it is not
   * known whether the order is in the new one
   */
  async placeAll(order: LongOrder): Promise<OrderAnswer> {
    const { proxies, clock } = this.#options;
    const start = clock.monotonic();
    const { journal, parts, waitMs } = order;
    const operations = new Set(parts.map(({ operation }) => operation));
    // What was recorded before says nothing about how fast it was.
    let fresh = true;
    const onApplied = (afterMs: Milliseconds) => {
      if (fresh) for (const listener of this.#listeners) listener({ journal, afterMs });
    };
    const tally = new Tally({ journal, operations, proxies, clock, onApplied });
    // Heard from the beginning: an acknowledgement may come before the journal has answered us.
    this.#open.add(tally);
    await using heartbeats = proxies.onHeartbeat((proxy) => tally.heard(proxy));
    void heartbeats;
    try {
      const placed: Placed[] = [];
      for (const part of parts) {
        placed.push(await this.#append(order, part));
        order.onDurable?.(placed.length);
      }
      const durableMs = clock.monotonic() - start;
      fresh = placed.every(({ duplicate }) => !duplicate);
      let standing = await this.#standing(order, placed);
      tally.stands(standing);
      const until = clock.monotonic() + waitMs;
      while (await tally.settled(until)) {
        if (this.#options.state.replica(journal).status().epoch === standing.epoch) continue;
        standing = await this.#moveOn(order, placed, standing, until);
        tally.stands(standing);
      }
      return {
        operation: order.operation,
        sequence: standing.sequences.at(-1)!,
        epoch: standing.epoch,
        durableMs: Math.round(durableMs * 100) / 100,
        applied: tally.applied(),
        ...(placed.every(({ duplicate }) => duplicate) ? { repeated: true } : {}),
      };
    } finally {
      this.#open.delete(tally);
    }
  }

  async #append(order: LongOrder, part: Part): Promise<Placed> {
    const { state } = this.#options;
    const { journal, same } = order;
    const { entry, operation, expected } = part;
    try {
      const appended = await state.write(journal, entry, {
        operation,
        ...(expected === undefined ? {} : { expected }),
      });
      if (appended.duplicate && same !== undefined) await this.#compare(order, part, appended);
      const { epoch, applied } = state.replica(journal).status();
      return { ...appended, seen: epoch === appended.epoch && applied >= appended.sequence };
    } catch (error) {
      if (!(error instanceof JournalConflict) || same === undefined) throw error;
      const recorded = await this.#options.journals[journal].last(entry.key);
      if (recorded === undefined) throw error;
      if (!same(recorded.body, part)) throw usedBefore(order.operation);
      const { sequence, epoch } = recorded;
      return { sequence, epoch, duplicate: true, seen: true };
    }
  }

  /** The journal knows operations by their ids alone. */
  async #compare(order: LongOrder, part: Part, { sequence }: Appended): Promise<void> {
    for await (const recorded of this.#options.journals[order.journal].read(sequence, 1)) {
      if (recorded.sequence !== sequence || order.same?.(recorded.body, part) === true) return;
      throw usedBefore(order.operation);
    }
  }

  /** The parts of an order may have been recorded in different histories when the journal began anew between two of them. */
  async #standing(order: LongOrder, placed: readonly Placed[]): Promise<Standing> {
    const { epoch } = placed.at(-1)!;
    const standing = { epoch, sequences: placed.map(({ sequence }) => sequence) };
    const { clock, state } = this.#options;
    // What proxies say of a history that is over proves nothing: its numbers have been used twice.
    const present = state.replica(order.journal).status().epoch === epoch;
    if (present && placed.every((part) => part.epoch === epoch)) return ascending(standing);
    return this.#moveOn(order, placed, undefined, clock.monotonic() + order.waitMs);
  }

  /** Finds the order in the history that the journal has now. @throws Declined 503 when it is not known whether it is in there */
  async #moveOn(
    order: LongOrder,
    placed: readonly Placed[],
    before: Standing | undefined,
    until: Milliseconds,
  ): Promise<Standing> {
    const { clock, state, journals, log } = this.#options;
    const { journal, parts } = order;
    for (;;) {
      try {
        const found = await findAgain({
          journal: journals[journal],
          entries: parts.map(({ entry }, index) => ({ entry, ...placed[index]! })),
          before: before?.epoch,
          holdsAll: () => state.holdsAll(journal),
        });
        if (found === "unmoved" && before !== undefined) return before;
        if (typeof found === "object") return ascending(found);
      } catch (error) {
        log.debug(
          { journal, cause: messageOf(error) },
          "the journal cannot be asked about an order",
        );
      }
      if (clock.monotonic() >= until) break;
      await new Promise<void>((resolve) => void clock.after(100, resolve));
    }
    throw new Declined(
      503,
      "journal-replaced",
      "The journal began anew while the order was under way",
      {
        detail:
          "Whether it is in the new one is not known. Repeating it with the same operation is safe.",
      },
    );
  }

  #hear(message: Message): void {
    const from = ackOf(message.subject);
    if (from === undefined) return;
    try {
      const ack = Ack.parse(JSON.parse(message.text()));
      this.#options.proxies.acknowledged(from.proxy, ack);
      for (const tally of this.#open) tally.acknowledged(from.operation, ack, from.proxy);
    } catch (error) {
      this.#options.log.warn(
        { subject: message.subject, cause: messageOf(error) },
        "acknowledgement not understood",
      );
    }
  }
}

const ascending = ({ epoch, sequences }: Standing): Standing => ({
  epoch,
  sequences: sequences.toSorted((a, b) => a - b),
});

function usedBefore(operation: OperationId): Declined {
  return new Declined(409, "operation-used", "This operation was used for another order", {
    detail: `The operation ${operation} is recorded with other content. Nothing more was written; use another id for another order.`,
  });
}
