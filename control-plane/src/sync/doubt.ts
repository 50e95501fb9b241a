import { messageOf, sleep, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { JournalUnavailable, type Head, type Journal } from "@tocsin/shared/journal";
import type { ReplicaStatus } from "@tocsin/shared/replica";

export interface DoubtOptions {
  readonly bus: Bus;
  readonly journal: Journal;
  readonly replica: () => ReplicaStatus;
  /** Whether everything that this node knows is in the store, as far as it knows. */
  readonly settled: () => boolean;
  /** Told each head that was asked for. */
  readonly heard: (head: Head) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Time between two looks, in milliseconds: more than a replica waits before it believes that a journal went backwards. */
const againMs: Milliseconds = 300;
/** How long a writer waits for certainty, in milliseconds: as long as the journal itself goes on trying. */
const patienceMs: Milliseconds = 15_000;

/**
 * Whether the store is still the one that this node knows.
 *
 * Behind a new connection there may be an empty store, or an older copy of it. What is written to it before that is noticed and
 * mended could not be told from what was lost, and under numbers that proxies have seen before it would look as if they had applied
 * it. So writers wait until it is certain.
 */
export class Doubt implements AsyncDisposable {
  readonly #options: DoubtOptions;
  readonly #closed = new AbortController();
  readonly #stop: () => void;
  #looking: Promise<void> | undefined;
  #wake: () => void = () => {};

  constructor(options: DoubtOptions) {
    this.#options = options;
    // From the moment that it is gone: a write that waits for its return would else be the first thing that the store behind it sees.
    this.#stop = options.bus.onState((state) => {
      if (state === "disconnected") this.#looking ??= this.#look();
      else this.#wake();
    });
  }

  /** Whether it is not certain now. */
  get open(): boolean {
    return this.#looking !== undefined;
  }

  /**
   * Resolves when the store is known to hold what this node has seen of the journal: at once, but while the bus is away and for some
   * time after that.
   *
   * @throws JournalUnavailable when that is not so within 15 s
   */
  async certain(signal?: AbortSignal): Promise<void> {
    if (this.#looking === undefined) return;
    const { clock, journal } = this.#options;
    const given = new AbortController();
    const up = AbortSignal.any([given.signal, ...(signal === undefined ? [] : [signal])]);
    try {
      await Promise.race([this.#looking, sleep(clock, patienceMs, up)]);
    } finally {
      given.abort();
    }
    if (this.#looking === undefined) return;
    const { name } = journal.definition;
    throw new JournalUnavailable(
      this.#options.bus.state === "connected"
        ? `the journal ${name} is being brought forward after a loss of its store`
        : `the journal ${name} is out of reach: the bus is away`,
      { recorded: "no" },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    this.#closed.abort(new Error("closed"));
    this.#wake();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { bus, journal, replica, settled, heard, clock, log } = this.#options;
    const { signal } = this.#closed;
    try {
      while (!signal.aborted) {
        if (bus.state !== "connected") {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        try {
          const head = await journal.head();
          heard(head);
          const { epoch, applied } = replica();
          // A replica that never had anything cannot miss anything.
          if (epoch === undefined) return;
          if (epoch === head.epoch && applied <= head.head && settled()) return;
        } catch (error) {
          log.debug(
            { journal: journal.definition.name, cause: messageOf(error) },
            "the store does not say where it stands",
          );
        }
        await sleep(clock, againMs, signal);
      }
    } catch {
      // Closed.
    } finally {
      this.#looking = undefined;
    }
  }
}
