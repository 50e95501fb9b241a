/** A replica of a model, on a clock that stands still: what most of its tests begin with. */
import { createVirtualClock } from "../../../../test/harness/virtual-clock.ts";
import { silentLog } from "../../log.ts";
import type { Milliseconds } from "../../time.ts";
import type { Replica, ReplicaOptions } from "../options.ts";
import { startReplica } from "../replica.ts";
import type { AppliedOrder } from "../source.ts";
import { ModelJournal, type AnswerForm } from "./model-journal.ts";
import { ModelSource } from "./model-source.ts";
import { ReplaceTable } from "./model-table.ts";

export class Stage implements AsyncDisposable {
  readonly clock = createVirtualClock();
  readonly journal = new ModelJournal();
  readonly source = new ModelSource(this.journal, this.clock);
  readonly table = new ReplaceTable(this.journal);
  readonly orders: AppliedOrder[] = [];
  /** How often it was told of a change. */
  changes = 0;
  #replica: Replica | undefined;

  get replica(): Replica {
    return this.#replica!;
  }

  readonly start = (more: Partial<ReplicaOptions<never>> = {}): void => {
    this.#replica = startReplica({
      journal: "catalogue",
      source: this.source,
      table: this.table,
      clock: this.clock,
      random: () => 0.5,
      log: silentLog,
      pause: this.pauseFor(1),
      onApplied: (order) => this.orders.push(order),
      onChange: () => this.changes++,
      ...(more as object),
    });
  };

  /** Live, with entries under `a`, `b` and `c` applied. */
  readonly startLive = async (more: Partial<ReplicaOptions<never>> = {}): Promise<void> => {
    for (const key of ["a", "b", "c"]) this.journal.append(key);
    this.start(more);
    await this.clock.pass(10);
    this.source.beacon(this.journal.head);
  };

  readonly pauseFor = (ms: Milliseconds) => () =>
    new Promise<void>((resolve) => this.clock.after(ms, resolve));

  /** What is asked is answered in this form, as of when it was asked. */
  readonly answerWith = (form: AnswerForm, afterMs: Milliseconds = 1): void => {
    this.source.answering = async (question) => {
      const answer = this.journal.answer(question, form);
      await this.pauseFor(afterMs)();
      return answer;
    };
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#replica?.[Symbol.asyncDispose]();
  }
}
