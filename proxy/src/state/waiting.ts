import type { Cancel, Clock, Log, Milliseconds } from "@tocsin/shared";
import type { JournalName } from "@tocsin/shared/journal";
import type { Position } from "./last-good.ts";

export interface WaitingOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: JournalName;
}

/** How long what is to be said may wait for a line of the tail, or for a whole state. */
const patienceMs: Record<"line" | "whole", Milliseconds> = { line: 1_000, whole: 10_000 };

/** What is said when something is on disk, in order. */
export class Waiting {
  readonly #options: WaitingOptions;
  #queue: { readonly number: number; readonly run: () => void }[] = [];
  #number = 0;
  #kept: Position | undefined;
  #patience: Cancel | undefined;
  #trouble: string | undefined;

  /** @param kept what was on disk at the start */
  constructor(options: WaitingOptions, kept: Position | undefined) {
    this.#options = options;
    this.#kept = kept;
  }

  /** What is on disk for certain. */
  get kept(): Position | undefined {
    return this.#kept;
  }

  /** Why nobody waits any more: it took too long. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Whether everything up to a number is on disk, or not waited for. */
  has(number: number): boolean {
    return this.#trouble !== undefined || this.#number >= number;
  }

  /** @param by what it takes */
  add(number: number, run: () => void, by: "line" | "whole"): void {
    if (this.has(number)) return run();
    this.#queue.push({ number, run });
    this.#patience ??= this.#await(by);
  }

  /** Everything up to a number is on disk. */
  keep(number: number, position: Position): void {
    if (number < this.#number) return;
    this.#number = number;
    this.#kept = position;
    this.#trouble = undefined;
    this.#patience?.();
    const end = this.#queue.findIndex((waiting) => waiting.number > number);
    const due = this.#queue.splice(0, end < 0 ? this.#queue.length : end);
    // The disk works: who waits on is given its time anew.
    this.#patience = this.#queue.length > 0 ? this.#await("whole") : undefined;
    for (const { run } of due) run();
  }

  /** Says everything now. */
  release(): void {
    this.#patience?.();
    this.#patience = undefined;
    for (const { run } of this.#queue.splice(0)) run();
  }

  #await(by: keyof typeof patienceMs): Cancel {
    const { clock, log, journal } = this.#options;
    const patience = patienceMs[by];
    return clock.after(patience, () => {
      this.#trouble = `the disk takes longer than ${patience} ms`;
      log.warn({ journal, cause: this.#trouble }, "last good state not waited for");
      this.release();
    });
  }
}
