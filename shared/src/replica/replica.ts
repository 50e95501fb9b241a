/**
 * What turns a journal into a table that can be trusted (docs/design/propagation.md).
 *
 * The feed may lose, repeat and reorder; the beacon says where the journal stands; a question brings what is missing. Everything
 * here is callbacks on one thread, so each of them leaves the replica in a state that the next one can rely on.
 */
import type { Head, Recorded } from "../journal/journal.ts";
import { once } from "../lifetime.ts";
import type { Clock, Milliseconds } from "../time.ts";
import { judgeAnswer } from "./answer-verdict.ts";
import { Asker, type Asked, type SyncKind } from "./asker.ts";
import { Backlog } from "./backlog.ts";
import { Copy } from "./copy.ts";
import { Drain } from "./drain.ts";
import { HoleWatch } from "./hole-watch.ts";
import { Horizon } from "./horizon.ts";
import { listen } from "./listen.ts";
import type { Replica, ReplicaOptions } from "./options.ts";
import { SilenceWatch } from "./silence-watch.ts";
import { Slices } from "./slices.ts";
import type {
  ReplicaState,
  ReplicaStatus,
  ResyncReason,
  SyncQuestion,
  WholeAnswer,
} from "./source.ts";
import { defaultTimings, type ReplicaTimings } from "./timings.ts";

const reasons: readonly ResyncReason[] = [
  "start",
  "reconnect",
  "epoch",
  "rewind",
  "backlog",
  "suspect",
  "repair",
];

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
  readonly #copy: Copy<Change>;
  readonly #backlog: Backlog;
  readonly #drain: Drain<Change>;
  readonly #horizon: Horizon;
  readonly #holes: HoleWatch;
  readonly #asker: Asker;

  /** The journal is known to have gone back within its epoch, so the next snapshot may be older than what is held. */
  #rewound = false;

  #started = false;

  #gaps = 0;
  readonly #resyncs = Object.fromEntries(reasons.map((reason) => [reason, 0])) as Record<
    ResyncReason,
    number
  >;

  constructor(options: ReplicaOptions<Change>) {
    this.#options = options;
    this.#timings = { ...defaultTimings, ...options.timings };
    this.#clock = options.clock;
    const slices = new Slices(options.clock, this.#timings.sliceMs, options.pause);
    this.#copy = new Copy(options, slices);
    this.#backlog = new Backlog(this.#timings.backlog);
    this.#drain = new Drain({
      backlog: this.#backlog,
      copy: this.#copy,
      slices,
      // What waits for a snapshot has its turn after that.
      open: () => !this.#closed.signal.aborted && this.#asker.asking !== "full",
      onMore: () => {
        this.#horizon.note(this.#copy);
        this.#options.onChange?.();
      },
    });
    const now = options.clock.monotonic();
    this.#horizon = new Horizon(this.#timings, this.#copy.applied, now);
    this.#asker = new Asker({
      ...options,
      timings: this.#timings,
      question: (kind) => this.#question(kind),
      take: (answer, asked) => this.#take(answer, asked),
      settled: (answer, asked) => this.#settle(answer, asked),
      deaf: () => this.#horizon.deaf(this.#clock.monotonic()),
    });
    this.#holes = new HoleWatch({
      clock: this.#clock,
      graceMs: this.#timings.gapGraceMs,
      applied: () => this.#copy.applied,
      open: () => this.#asker.asking === undefined && this.#behind(),
      onLasting: () => {
        this.#gaps++;
        this.#resync("delta", "repair");
      },
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
  }

  start(): void {
    const { source } = this.#options;
    this.#subscriptions.defer(
      source.onReconnected(() => {
        // Connections come back one after the other, so half of the usual spread will do.
        const jitterMs = this.#timings.jitterMs / 2;
        this.#asker.hurry(jitterMs);
        this.#resync("delta", "reconnect", jitterMs);
      }),
    );
    void this.#subscribe();
  }

  status(): ReplicaStatus {
    const { currentAt } = this.#horizon;
    return {
      state: this.#state(),
      epoch: this.#copy.epoch,
      applied: this.#copy.applied,
      head: this.#horizon.head,
      stalenessMs: currentAt === undefined ? undefined : this.#clock.monotonic() - currentAt,
      poisoned: this.#copy.poisoned,
      gaps: this.#gaps,
      resyncs: { ...this.#resyncs },
    };
  }

  [Symbol.asyncDispose] = once(async () => {
    this.#closed.abort(new Error("the replica was closed"));
    this.#asker.close(this.#closed.signal.reason as Error);
    this.#holes[Symbol.dispose]();
    await this.#subscriptions.disposeAsync();
  });

  #state(): ReplicaState {
    if (!this.#started) return "cold";
    if (this.#asker.mute) return "stale";
    if (this.#silent()) return "suspect";
    if (this.#horizon.currentAt === undefined || this.#asker.asking !== undefined || this.#behind())
      return "syncing";
    return "live";
  }

  #behind(): boolean {
    return this.#copy.applied < this.#horizon.head;
  }

  /** Subscribes before asking: what is recorded in between is heard, or shows as a hole. */
  async #subscribe(): Promise<void> {
    const listening = await listen(
      {
        ...this.#options,
        retryDelay: (failures) => this.#asker.retryDelay(failures),
        onEntry: (entry) => this.#hear(entry),
        onHead: (head, term) => this.#heed(head, term),
      },
      this.#closed.signal,
    );
    if (listening === undefined) return;
    if (this.#closed.signal.aborted) return listening[Symbol.asyncDispose]();
    this.#subscriptions.use(listening);
    this.#started = true;
    this.#horizon.begin(this.#clock.monotonic());
    const silence = new SilenceWatch({
      clock: this.#clock,
      leftMs: () => this.#horizon.silentInMs(this.#clock.monotonic()),
      againMs: this.#timings.retryMaxMs,
      onSilence: () => {
        if (this.#asker.asking === undefined) this.#resync(this.#lacking(), "suspect");
      },
    });
    this.#subscriptions.use(silence);
    this.#resync(this.#lacking(), "start");
  }

  // ---- the feed

  #hear(entry: Recorded): void {
    if (this.#closed.signal.aborted) return;
    const { epoch, applied } = this.#copy;
    if (epoch === undefined || this.#asker.asking === "full") return this.#keep(entry);
    if (entry.epoch !== epoch) {
      this.#horizon.disbelieve();
      this.#resync("full", "epoch", this.#timings.jitterMs);
      return this.#keep(entry);
    }
    if (entry.sequence <= applied) {
      if (!this.#copy.contradicts(entry)) return;
      this.#horizon.disbelieve();
      this.#goBack();
      return this.#keep(entry);
    }
    if (entry.sequence > applied + 1) {
      this.#keep(entry);
      return this.#holes.begin();
    }
    this.#copy.apply(entry);
    this.#horizon.raise(entry.sequence);
    this.#backlog.forget(entry.sequence);
    this.#drain.run();
    this.#horizon.note(this.#copy);
    this.#options.onChange?.();
  }

  #keep(entry: Recorded): void {
    if (entry.epoch === this.#copy.epoch) this.#horizon.raise(entry.sequence);
    if (this.#backlog.add(entry)) return;
    if (this.#asker.asking === undefined) this.#resync("delta", "backlog");
    else this.#resyncs.backlog++;
  }

  // ---- the beacon

  #heed(head: Head, term: number): void {
    if (this.#closed.signal.aborted) return;
    this.#asker.heard();
    const verdict = this.#horizon.heed(head, term, this.#copy, this.#clock.monotonic());
    switch (verdict) {
      case "past":
        return;
      case "elsewhere":
        if (this.#copy.epoch !== undefined) this.#resync("full", "epoch", this.#timings.jitterMs);
        return;
      case "rewound":
        return this.#goBack();
      case "here":
        // While what is held is in doubt, nothing makes it current but an answer.
        if (this.#asker.asking === "full") return;
        this.#horizon.note(this.#copy);
        if (this.#behind()) this.#holes.begin();
        return;
      default:
        verdict satisfies never;
    }
  }

  #silent(): boolean {
    return this.#horizon.silentInMs(this.#clock.monotonic()) <= 0;
  }

  // ---- questions

  #lacking(): SyncKind {
    return this.#copy.epoch === undefined ? "full" : "delta";
  }

  #goBack(): void {
    this.#rewound = true;
    this.#resync("full", "rewind", this.#timings.jitterMs);
  }

  #resync(kind: SyncKind, reason: ResyncReason, jitterMs: Milliseconds = 0): void {
    if (!this.#started || !this.#asker.ask(kind, jitterMs)) return;
    this.#resyncs[reason]++;
    if (kind === "full") this.#backlog.clear();
  }

  #question(kind: SyncKind): SyncQuestion {
    const { epoch, applied } = this.#copy;
    if (kind === "delta") return { epoch, applied, atLeast: this.#horizon.head };
    const beacon = this.#horizon.fresh(this.#clock.monotonic());
    return { epoch: undefined, applied: 0, atLeast: beacon?.head ?? 0 };
  }

  /** @returns false when the answer is of no use and another question is due */
  async #take(answer: WholeAnswer, asked: Asked): Promise<boolean> {
    const beacon = this.#horizon.fresh(this.#clock.monotonic());
    const verdict = judgeAnswer(answer, asked, this.#copy, beacon, this.#rewound);
    if (verdict === "useless") return false;
    if (verdict === "delta") return this.#copy.advance(answer, asked.signal);
    // From now on what the feed brings has to wait.
    this.#asker.widen();
    if (verdict === "overtaken") return false;
    const { epoch } = this.#copy;
    const replaced = await this.#copy.replace(answer, asked.signal);
    if (!replaced) return false;
    // What was heard of the same past still holds.
    if (answer.epoch !== epoch || this.#rewound) this.#horizon.restart(answer.to);
    this.#rewound = false;
    return true;
  }

  /** After an answer: what waited has its turn, and what is still missing is asked for. */
  #settle(answer: WholeAnswer, asked: Asked): void {
    const now = this.#clock.monotonic();
    const epoch = this.#copy.epoch!;
    const rewound = this.#backlog.holds((entry) => this.#copy.contradicts(entry));
    this.#backlog.prune(epoch, this.#copy.applied);
    // What waits was recorded too, so the journal stood there at least.
    this.#horizon.settle(this.#copy, this.#backlog.highest(), now);
    this.#horizon.answered(answer, asked);
    this.#drain.run();
    this.#horizon.note(this.#copy);
    if (this.#behind()) this.#holes.begin();
    this.#options.onChange?.();
    this.#resolveSynced();
    // Heard while we asked: other entries under numbers that the answer has. The journal was rewound after the answer was written.
    if (rewound) this.#goBack();
    else if ((this.#horizon.fresh(now)?.epoch ?? epoch) !== epoch)
      this.#resync("full", "epoch", this.#timings.jitterMs);
  }
}
