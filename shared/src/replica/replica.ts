/**
 * What turns a journal into a table that can be trusted (docs/design/propagation.md).
 *
 * The feed may lose, repeat and reorder; the beacon says where the journal stands; a question brings what is missing. Everything
 * here is callbacks on one thread, so each of them leaves the replica in a state that the next one can rely on.
 */
import type { Epoch, Head, Recorded, Sequence } from "../journal/journal.ts";
import { messageOf, once } from "../lifetime.ts";
import { sleep, type Cancel, type Clock, type Milliseconds } from "../time.ts";
import { Asker, type SyncKind } from "./asker.ts";
import { Backlog } from "./backlog.ts";
import { Digests } from "./digests.ts";
import type { Replica, ReplicaOptions } from "./options.ts";
import { RewindWatch } from "./rewind.ts";
import type {
  ReplicaState,
  ReplicaStatus,
  ResyncReason,
  SyncAnswer,
  SyncQuestion,
} from "./source.ts";
import { defaultTimings, type ReplicaTimings } from "./timings.ts";

/** Starts a replica. It subscribes and asks in the background, for as long as it takes. */
export function startReplica<Change>(options: ReplicaOptions<Change>): Replica {
  const replica = new RunningReplica(options);
  replica.start();
  return replica;
}

class RunningReplica<Change> implements Replica {
  readonly synced: Promise<void>;
  readonly #resolveSynced: () => void;
  readonly #options: ReplicaOptions<Change>;
  readonly #timings: ReplicaTimings;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #subscriptions = new AsyncDisposableStack();
  readonly #backlog: Backlog;
  readonly #digests = new Digests();
  readonly #asker: Asker;

  #epoch: Epoch | undefined;
  #applied: Sequence = 0;
  /** The highest head heard of in the present epoch, from a beacon or an answer. */
  #head: Sequence = 0;
  /** The last beacon, unless something heard since has proved it wrong. */
  #beacon: (Head & { readonly at: Milliseconds }) | undefined;
  #beaconAt: Milliseconds | undefined;
  #startedAt: Milliseconds;
  /** When it last knew that it was current. */
  #currentAt: Milliseconds | undefined;
  readonly #rewind: RewindWatch;

  #started = false;
  #suspectedAt: Milliseconds | undefined;
  #gapTimer: Cancel | undefined;
  #watch: Cancel | undefined;

  #poisoned: ReplicaStatus["poisoned"];
  #gaps = 0;
  readonly #resyncs: Record<ResyncReason, number> = {
    start: 0,
    reconnect: 0,
    epoch: 0,
    rewind: 0,
    backlog: 0,
    suspect: 0,
    repair: 0,
  };

  constructor(options: ReplicaOptions<Change>) {
    this.#options = options;
    this.#timings = { ...defaultTimings, ...options.timings };
    this.#clock = options.clock;
    this.#startedAt = options.clock.monotonic();
    this.#backlog = new Backlog(this.#timings.backlog);
    this.#rewind = new RewindWatch(this.#timings.rewindGraceMs);
    this.#epoch = options.restored?.epoch;
    this.#applied = options.restored?.applied ?? 0;
    this.#head = this.#applied;
    this.#asker = new Asker({
      ...options,
      timings: this.#timings,
      question: (kind) => this.#question(kind),
      take: (kind, answer) => this.#take(kind, answer),
      settled: () => this.#settle(),
      silent: () => this.#silent(),
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
  }

  start(): void {
    const { source } = this.#options;
    this.#subscriptions.defer(
      source.onReconnected(() => this.#resync("delta", "reconnect", this.#timings.jitterMs)),
    );
    this.#watch = this.#clock.every(Math.max(1, this.#timings.beaconTimeoutMs / 6), () =>
      this.#watchBeacon(),
    );
    void this.#subscribe();
  }

  status(): ReplicaStatus {
    return {
      state: this.#state(),
      epoch: this.#epoch,
      applied: this.#applied,
      head: this.#head,
      stalenessMs:
        this.#currentAt === undefined ? undefined : this.#clock.monotonic() - this.#currentAt,
      poisoned: this.#poisoned,
      gaps: this.#gaps,
      resyncs: { ...this.#resyncs },
    };
  }

  [Symbol.asyncDispose] = once(async () => {
    this.#closed.abort(new Error("the replica was closed"));
    this.#asker.close(this.#closed.signal.reason as Error);
    this.#gapTimer?.();
    this.#watch?.();
    await this.#subscriptions.disposeAsync();
  });

  #state(): ReplicaState {
    if (!this.#started) return "cold";
    if (this.#asker.mute) return "stale";
    if (this.#silent()) return "suspect";
    if (
      this.#currentAt === undefined ||
      this.#asker.asking !== undefined ||
      this.#applied < this.#head
    )
      return "syncing";
    return "live";
  }

  /** Subscribes before asking: what is recorded in between is heard, or shows as a hole. */
  async #subscribe(): Promise<void> {
    const { source, clock, log, journal } = this.#options;
    const { signal } = this.#closed;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await using attempt = new AsyncDisposableStack();
        attempt.use(await source.follow((entry) => this.#hear(entry)));
        attempt.use(await source.beacons((head) => this.#heed(head)));
        if (signal.aborted) return;
        this.#subscriptions.use(attempt.move());
        this.#started = true;
        this.#startedAt = clock.monotonic();
        this.#resync(this.#epoch === undefined ? "full" : "delta", "start");
        return;
      } catch (error) {
        log.warn({ journal, cause: messageOf(error) }, "replica cannot subscribe yet");
        await sleep(clock, this.#asker.retryDelay(failures), signal).catch(() => {});
      }
    }
  }

  // ---- the feed

  #hear(entry: Recorded): void {
    if (this.#closed.signal.aborted) return;
    if (this.#epoch === undefined || this.#asker.asking === "full") return this.#keep(entry);
    if (entry.epoch !== this.#epoch) {
      this.#beacon = undefined;
      this.#resync("full", "epoch", this.#timings.jitterMs);
      return this.#keep(entry);
    }
    if (entry.sequence <= this.#applied) {
      if (this.#digests.differs(entry.sequence, entry)) {
        this.#beacon = undefined;
        this.#resync("full", "rewind", this.#timings.jitterMs);
        this.#keep(entry);
      }
      return;
    }
    if (entry.sequence === this.#applied + 1) {
      this.#apply(entry);
      this.#drain();
      this.#options.onChange?.();
      return;
    }
    this.#keep(entry);
    this.#awaitGap();
  }

  #keep(entry: Recorded): void {
    if (entry.epoch === this.#epoch && entry.sequence > this.#head) this.#head = entry.sequence;
    if (this.#backlog.add(entry)) return;
    if (this.#asker.asking === undefined) this.#resync("delta", "backlog");
    else this.#resyncs.backlog++;
  }

  /** Applies what was waiting and has its turn now. */
  #drain(): void {
    for (;;) {
      const entry = this.#backlog.next(this.#epoch!, this.#applied);
      if (entry === undefined) break;
      this.#apply(entry);
    }
    this.#noteCurrent();
  }

  #apply(entry: Recorded): void {
    const { table } = this.#options;
    let error: string | undefined;
    try {
      table.apply(table.decode(entry), entry.sequence);
    } catch (thrown) {
      error = this.#refuse(entry, thrown);
    }
    this.#applied = entry.sequence;
    if (this.#head < entry.sequence) this.#head = entry.sequence;
    this.#digests.add(entry.sequence, entry);
    this.#acknowledge(entry, error);
  }

  /** An entry that cannot be understood is counted and passed over: the last good state stays. */
  #refuse(entry: Recorded, thrown: unknown): string {
    const error = messageOf(thrown).slice(0, 500);
    this.#poisoned = { count: (this.#poisoned?.count ?? 0) + 1, sequence: entry.sequence, error };
    this.#options.log.error(
      { journal: this.#options.journal, sequence: entry.sequence, key: entry.key, cause: error },
      "entry refused",
    );
    return error;
  }

  #acknowledge(entry: Recorded, error: string | undefined): void {
    if (entry.operation === undefined) return;
    const { operation, sequence, epoch } = entry;
    this.#options.onApplied?.({
      operation,
      sequence,
      epoch,
      ...(error === undefined ? {} : { error }),
    });
  }

  // ---- the beacon

  #heed(head: Head): void {
    if (this.#closed.signal.aborted) return;
    const now = this.#clock.monotonic();
    this.#beaconAt = now;
    this.#asker.heard();
    if (this.#epoch === undefined || this.#asker.asking === "full") {
      this.#beacon = { ...head, at: now };
      return;
    }
    if (head.epoch !== this.#epoch) {
      this.#beacon = { ...head, at: now };
      return this.#resync("full", "epoch", this.#timings.jitterMs);
    }
    const verdict = this.#rewind.judge(head.head, now);
    if (verdict === "overtaken") return;
    this.#beacon = { ...head, at: now };
    if (verdict === "rewound") return this.#resync("full", "rewind", this.#timings.jitterMs);
    if (head.head > this.#head) this.#head = head.head;
    this.#rewind.know(Math.max(this.#head, this.#applied), now);
    if (this.#applied < this.#head) this.#awaitGap();
    this.#noteCurrent();
  }

  #silent(): boolean {
    return (
      this.#clock.monotonic() - (this.#beaconAt ?? this.#startedAt) >= this.#timings.beaconTimeoutMs
    );
  }

  #watchBeacon(): void {
    if (!this.#started || this.#asker.asking !== undefined || !this.#silent()) return;
    const now = this.#clock.monotonic();
    if (this.#suspectedAt !== undefined && now - this.#suspectedAt < this.#timings.retryMaxMs)
      return;
    this.#suspectedAt = now;
    this.#resync(this.#epoch === undefined ? "full" : "delta", "suspect");
  }

  // ---- holes

  /** Gives a hole, or a head that is ahead, its grace; what is still missing then is asked for. */
  #awaitGap(): void {
    if (this.#gapTimer !== undefined) return;
    const applied = this.#applied;
    this.#gapTimer = this.#clock.after(this.#timings.gapGraceMs, () => {
      this.#gapTimer = undefined;
      if (this.#asker.asking !== undefined || this.#applied >= this.#head) return;
      // Something came meanwhile: the rest may be on its way too.
      if (this.#applied > applied && this.#backlog.size === 0) return this.#awaitGap();
      this.#gaps++;
      this.#resync("delta", "repair");
    });
  }

  /** Everything that is known to be recorded is applied: current, as of the beacon that says so. */
  #noteCurrent(): void {
    const beacon = this.#beacon;
    if (beacon === undefined || beacon.epoch !== this.#epoch || this.#applied < beacon.head) return;
    this.#currentAt = Math.max(this.#currentAt ?? 0, beacon.at);
  }

  // ---- questions

  #resync(kind: SyncKind, reason: ResyncReason, jitterMs: Milliseconds = 0): void {
    if (!this.#started || !this.#asker.ask(kind, jitterMs)) return;
    this.#resyncs[reason]++;
    if (kind === "full") this.#backlog.clear();
  }

  #question(kind: SyncKind): SyncQuestion {
    return kind === "full"
      ? { epoch: undefined, applied: 0, atLeast: this.#beacon?.head ?? 0 }
      : { epoch: this.#epoch, applied: this.#applied, atLeast: this.#head };
  }

  /** @returns false when the answer is of no use and another question is due */
  #take(kind: SyncKind, answer: SyncAnswer): boolean {
    if (answer.mode === "retry") return false;
    const beacon = this.#beacon;
    // Who answers may live in the past: a fresh beacon knows better which epoch it is, and how far.
    if (beacon !== undefined && !this.#silent()) {
      if (answer.epoch !== beacon.epoch) return false;
      if (kind === "full" && answer.to < beacon.head) return false;
    }
    // Less than what is held: who answers lags, or the journal went back, and then a beacon says so.
    if (kind === "delta" && answer.epoch === this.#epoch && answer.to < this.#applied) return false;
    if (answer.mode === "delta") {
      if (answer.epoch !== this.#epoch) return false;
      for (const entry of answer.entries) if (entry.sequence > this.#applied) this.#apply(entry);
      if (answer.to > this.#applied) this.#applied = answer.to;
    } else this.#load(answer);
    this.#head = Math.max(this.#head, answer.to);
    return true;
  }

  #load(answer: SyncAnswer & { mode: "snapshot" | "delta" }): void {
    const { table, log, journal } = this.#options;
    const changes: { change: Change; key: string; sequence: Sequence }[] = [];
    for (const entry of answer.entries) {
      try {
        changes.push({ change: table.decode(entry), key: entry.key, sequence: entry.sequence });
      } catch (thrown) {
        this.#refuse(entry, thrown);
      }
    }
    try {
      table.load(changes);
    } catch (thrown) {
      log.error({ journal, cause: messageOf(thrown) }, "snapshot could not be loaded");
    }
    this.#epoch = answer.epoch;
    this.#applied = answer.to;
    this.#head = answer.to;
    this.#rewind.forget();
    this.#digests.clear();
    for (const entry of answer.entries.slice(-1_024)) this.#digests.add(entry.sequence, entry);
  }

  /** After an answer: what waited has its turn, and what is still missing is asked for. */
  #settle(): void {
    const now = this.#clock.monotonic();
    const rewound = this.#backlog.holds(
      (entry) =>
        entry.epoch === this.#epoch &&
        entry.sequence <= this.#applied &&
        this.#digests.differs(entry.sequence, entry),
    );
    this.#backlog.prune(this.#epoch!, this.#applied);
    this.#drain();
    const beacon = this.#beacon;
    if (beacon !== undefined && beacon.epoch === this.#epoch && beacon.head > this.#head)
      this.#head = beacon.head;
    // What waits was recorded too, so the journal stood there at least.
    this.#head = Math.max(this.#head, this.#backlog.highest());
    this.#rewind.know(Math.max(this.#head, this.#applied), now);
    // An answer that is at least as new as every head heard of is as good as a beacon.
    if (this.#applied >= this.#head) this.#currentAt = now;
    if (this.#applied < this.#head) this.#awaitGap();
    this.#options.onChange?.();
    this.#resolveSynced();
    // Heard while we asked: other entries under numbers that the answer has. The journal was rewound after the answer was written.
    if (rewound) this.#resync("full", "rewind", this.#timings.jitterMs);
  }
}
