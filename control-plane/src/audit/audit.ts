/** Who ordered what: a line in the log, and a record in the store that outlives it (docs/design/decisions/0031-the-audit.md). */
import { randomUUID } from "node:crypto";
import { messageOf, sleep, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import { protocolVersion, type AuditPage, type AuditRecord } from "@tocsin/shared/contract";
import { JournalUnavailable, type Ledger } from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";
import { pageOf, type AuditQuery } from "./listing.ts";
import { Repeats } from "./repeats.ts";

/** What came of one call, as whoever answered it knows. */
export type AuditEvent = Omit<AuditRecord, "v" | "id" | "at" | "node" | "count" | "since">;

export interface AuditOptions {
  readonly node: string;
  /** Absent: records are lines in the log only. */
  readonly ledger?: Ledger | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long an answer waits for its record, in milliseconds: an order is never held up by the audit. */
const patienceMs: Milliseconds = 1_000;
/** Records that wait for a store that is away; what comes beyond is in the log only. */
const maxWaiting = 10_000;
/** Records that are on their way to the store at the same time. */
const writers = 32;
/** Pause before a record is tried again, in milliseconds. The journal itself has tried for long. */
const pauseMs: Milliseconds = 1_000;
/** How long the end waits for what is not kept yet, in milliseconds. */
const endMs: Milliseconds = 2_000;

interface Waiting {
  readonly record: AuditRecord;
  readonly kept: () => void;
}

export class Audit implements AsyncDisposable {
  readonly #options: AuditOptions;
  readonly #repeats: Repeats;
  readonly #queue: Waiting[] = [];
  readonly #ended = new AbortController();
  readonly #counts = new Map<AuditRecord["outcome"], number>();
  /** Taken from the queue, and not kept yet. */
  #underWay = 0;
  #failures = 0;
  /** The store did not take the record before: nobody waits for it. */
  #isStuck = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#repeats = new Repeats(options.clock, (record) => void this.#keep(record));
  }

  /**
   * Writes down what came of a call. Resolves when that is durable, or after a second; never rejects.
   *
   * @param budget how many like it are written one by one in a minute; the rest becomes a number. Absent: all of them
   */
  async write(event: AuditEvent, budget?: number): Promise<void> {
    const { node, clock } = this.#options;
    const record: AuditRecord = {
      v: protocolVersion,
      id: randomUUID(),
      at: clock.wall(),
      node,
      ...event,
    };
    if (budget !== undefined && !this.#repeats.admits(record, budget)) return;
    await this.#keep(record);
  }

  /** @throws Declined 503 when the records cannot be read now, or are not kept here */
  async page(query: AuditQuery): Promise<AuditPage> {
    const { ledger } = this.#options;
    if (ledger === undefined)
      throw new Declined(503, "audit-unavailable", "The audit is not kept here", {
        detail: "It is in the log of this node, in the lines of the event audit.",
      });
    try {
      return await pageOf(ledger, query);
    } catch (cause) {
      if (!(cause instanceof JournalUnavailable)) throw cause;
      throw new Declined(503, "audit-unavailable", "The audit cannot be read now", { cause });
    }
  }

  /** Calls so far, by outcome. Those that were counted together count as many. */
  get counts(): ReadonlyMap<AuditRecord["outcome"], number> {
    return this.#counts;
  }

  /** Records that are not durable yet. */
  get waiting(): number {
    return this.#queue.length + this.#underWay;
  }

  /** How often the store did not take a record; each is tried again. */
  get failures(): number {
    return this.#failures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#repeats[Symbol.dispose]();
    const { clock, log } = this.#options;
    const over = new AbortController();
    const cancel = clock.after(endMs, () => over.abort());
    while (this.waiting > 0 && !over.signal.aborted)
      await sleep(clock, 5, over.signal).catch(() => {});
    cancel();
    this.#ended.abort();
    if (this.waiting > 0) log.error({ records: this.waiting }, "audit records are in the log only");
  }

  #keep(record: AuditRecord): Promise<void> {
    const { clock, log, ledger } = this.#options;
    const { v, at, node, outcome, count = 1, ...facts } = record;
    void [v, at, node];
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + count);
    const line = count === 1 ? facts : { ...facts, count };
    log.info({ event: "audit", outcome, ...line }, "audit");
    if (ledger === undefined) return Promise.resolve();
    if (this.waiting >= maxWaiting) {
      this.#failures += 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const cancel = clock.after(patienceMs, resolve);
      const kept = () => {
        cancel();
        resolve();
      };
      this.#queue.push({ record, kept });
      if (this.#underWay < writers) void this.#work(ledger);
      if (this.#isStuck) kept();
    });
  }

  async #work(ledger: Ledger): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#underWay += 1;
      await this.#append(ledger, next.record);
      this.#underWay -= 1;
      next.kept();
    }
  }

  /** Tries until the record is durable, or this node ends. */
  async #append(ledger: Ledger, record: AuditRecord): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#ended;
    const entry = { key: "record", body: JSON.stringify(record) };
    while (!signal.aborted) {
      try {
        await ledger.append(entry, { operation: record.id, signal });
        if (this.#isStuck) log.info({}, "the audit is kept again");
        this.#isStuck = false;
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#failures += 1;
        if (!this.#isStuck) log.error({ cause: messageOf(error) }, "the audit is in the log only");
        this.#isStuck = true;
        await sleep(clock, pauseMs, signal).catch(() => {});
      }
    }
  }
}
