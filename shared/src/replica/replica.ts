/**
 * What turns a journal into a table that can be trusted (docs/design/propagation.md).
 *
 * The feed may lose, repeat and reorder; the beacon says where the journal stands; a question brings what is missing. Everything
 * here is callbacks on one thread, so each of them leaves the replica in a state that the next one can rely on.
 */
import type { Head, Recorded, Sequence } from "../journal/journal.ts";
import { messageOf, once } from "../lifetime.ts";
import { sleep, type Cancel, type Clock, type Milliseconds } from "../time.ts";
import { Asker, type Asked, type SyncKind } from "./asker.ts";
import { Backlog } from "./backlog.ts";
import { Beacons } from "./beacons.ts";
import { Copy } from "./copy.ts";
import type { Replica, ReplicaOptions } from "./options.ts";
import { RewindWatch } from "./rewind.ts";
import { Slices } from "./slices.ts";
import type {
  ReplicaState,
  ReplicaStatus,
  ResyncReason,
  SyncQuestion,
  WholeAnswer,
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
  readonly #slices: Slices;
  readonly #copy: Copy<Change>;
  readonly #backlog: Backlog;
  readonly #beacons: Beacons;
  readonly #rewind: RewindWatch;
  readonly #asker: Asker;

  /** The highest head heard of in the present epoch, from a beacon, an entry or an answer. */
  #head: Sequence;
  /** When it last knew that it was current. */
  #currentAt: Milliseconds | undefined;
  /** The journal is known to have gone back within its epoch, so the next snapshot may be older than what is held. */
  #rewound = false;

  #started = false;
  #draining = false;
  #gapTimer: Cancel | undefined;
  #silenceTimer: Cancel | undefined;

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
    this.#slices = new Slices(options.clock, this.#timings.sliceMs, options.pause);
    this.#copy = new Copy(options, this.#slices);
    this.#backlog = new Backlog(this.#timings.backlog);
    this.#beacons = new Beacons(this.#timings.beaconTimeoutMs, options.clock.monotonic());
    this.#rewind = new RewindWatch(this.#timings.rewindGraceMs);
    this.#head = this.#copy.applied;
    this.#asker = new Asker({
      ...options,
      timings: this.#timings,
      question: (kind) => this.#question(kind),
      take: (answer, asked) => this.#take(answer, asked),
      settled: (answer, asked) => this.#settle(answer, asked),
      deaf: () => this.#beacons.deaf(this.#clock.monotonic()),
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
    void this.#subscribe();
  }

  status(): ReplicaStatus {
    return {
      state: this.#state(),
      epoch: this.#copy.epoch,
      applied: this.#copy.applied,
      head: this.#head,
      stalenessMs:
        this.#currentAt === undefined ? undefined : this.#clock.monotonic() - this.#currentAt,
      poisoned: this.#copy.poisoned,
      gaps: this.#gaps,
      resyncs: { ...this.#resyncs },
    };
  }

  [Symbol.asyncDispose] = once(async () => {
    this.#closed.abort(new Error("the replica was closed"));
    this.#asker.close(this.#closed.signal.reason as Error);
    this.#gapTimer?.();
    this.#silenceTimer?.();
    await this.#subscriptions.disposeAsync();
  });

  #state(): ReplicaState {
    if (!this.#started) return "cold";
    if (this.#asker.mute) return "stale";
    if (this.#silent()) return "suspect";
    if (
      this.#currentAt === undefined ||
      this.#asker.asking !== undefined ||
      this.#copy.applied < this.#head
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
        attempt.use(await source.beacons((head, term) => this.#heed(head, term ?? 0)));
        if (signal.aborted) return;
        this.#subscriptions.use(attempt.move());
        this.#started = true;
        this.#beacons.begin(clock.monotonic());
        this.#watchSilence(this.#timings.beaconTimeoutMs);
        this.#resync(this.#lacking(), "start");
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
    const { epoch, applied } = this.#copy;
    if (epoch === undefined || this.#asker.asking === "full") return this.#keep(entry);
    if (entry.epoch !== epoch) {
      this.#beacons.disbelieve();
      this.#resync("full", "epoch", this.#timings.jitterMs);
      return this.#keep(entry);
    }
    if (entry.sequence <= applied) {
      if (!this.#copy.differs(entry)) return;
      this.#beacons.disbelieve();
      this.#goBack();
      return this.#keep(entry);
    }
    if (entry.sequence > applied + 1) {
      this.#keep(entry);
      return this.#awaitGap();
    }
    this.#copy.apply(entry);
    if (this.#head < entry.sequence) this.#head = entry.sequence;
    this.#backlog.forget(entry.sequence);
    this.#drain();
    this.#options.onChange?.();
  }

  #keep(entry: Recorded): void {
    if (entry.epoch === this.#copy.epoch && entry.sequence > this.#head)
      this.#head = entry.sequence;
    if (this.#backlog.add(entry)) return;
    if (this.#asker.asking === undefined) this.#resync("delta", "backlog");
    else this.#resyncs.backlog++;
  }

  /** Applies what was waiting and has its turn now; a slice of it, and the rest when others had their turn. */
  #drain(): void {
    if (this.#backlog.size > 0 && !this.#draining) {
      const end = this.#slices.end();
      for (;;) {
        const entry = this.#backlog.next(this.#copy.epoch!, this.#copy.applied);
        if (entry === undefined) break;
        this.#copy.apply(entry);
        if (!this.#slices.over(end)) continue;
        void this.#drainOn();
        break;
      }
    }
    this.#noteCurrent();
  }

  async #drainOn(): Promise<void> {
    this.#draining = true;
    await this.#slices.pause();
    this.#draining = false;
    // What waits for a snapshot has its turn after that.
    if (this.#closed.signal.aborted || this.#asker.asking === "full") return;
    this.#drain();
    this.#options.onChange?.();
  }

  // ---- the beacon

  #heed(head: Head, term: number): void {
    if (this.#closed.signal.aborted) return;
    const now = this.#clock.monotonic();
    this.#asker.heard();
    if (!this.#beacons.hear(head.epoch, term, now)) return;
    if (head.epoch !== this.#copy.epoch) {
      this.#beacons.believe(head, now);
      if (this.#copy.epoch !== undefined) this.#resync("full", "epoch", this.#timings.jitterMs);
      return;
    }
    const verdict = this.#rewind.judge(head.head, now);
    if (verdict === "overtaken") return;
    this.#beacons.believe(head, now);
    if (verdict === "rewound") return this.#goBack();
    if (head.head > this.#head) this.#head = head.head;
    this.#rewind.know(Math.max(this.#head, this.#copy.applied), now);
    // While what is held is in doubt, nothing makes it current but an answer.
    if (this.#asker.asking === "full") return;
    if (this.#copy.applied < this.#head) this.#awaitGap();
    this.#noteCurrent();
  }

  #silent(): boolean {
    return this.#beacons.silentInMs(this.#clock.monotonic()) <= 0;
  }

  /** One timer, set to when the silence would be too long; beacons that come meanwhile only move that. */
  #watchSilence(delayMs: Milliseconds): void {
    this.#silenceTimer = this.#clock.after(Math.max(1, delayMs), () => {
      const leftMs = this.#beacons.silentInMs(this.#clock.monotonic());
      if (leftMs > 0) return this.#watchSilence(leftMs);
      if (this.#asker.asking === undefined) this.#resync(this.#lacking(), "suspect");
      this.#watchSilence(this.#timings.retryMaxMs);
    });
  }

  // ---- holes

  /** Gives a hole, or a head that is ahead, its grace; what is still missing then is asked for. */
  #awaitGap(): void {
    if (this.#gapTimer !== undefined) return;
    const { applied } = this.#copy;
    this.#gapTimer = this.#clock.after(this.#timings.gapGraceMs, () => {
      this.#gapTimer = undefined;
      if (this.#asker.asking !== undefined || this.#copy.applied >= this.#head) return;
      // Something came meanwhile: the rest may be on its way too, or has its turn soon.
      const moved = this.#copy.applied > applied && this.#backlog.size === 0;
      if (moved || this.#draining) return this.#awaitGap();
      this.#gaps++;
      this.#resync("delta", "repair");
    });
  }

  /** Everything that is known to be recorded is applied: current, as of the beacon that says so. */
  #noteCurrent(): void {
    const beacon = this.#beacons.last;
    const { epoch, applied } = this.#copy;
    if (beacon === undefined || beacon.epoch !== epoch || applied < beacon.head) return;
    this.#currentAt = Math.max(this.#currentAt ?? 0, beacon.at);
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
    if (kind === "delta") return { epoch, applied, atLeast: this.#head };
    const beacon = this.#beacons.fresh(this.#clock.monotonic());
    return { epoch: undefined, applied: 0, atLeast: beacon?.head ?? 0 };
  }

  /** @returns false when the answer is of no use and another question is due */
  async #take(answer: WholeAnswer, asked: Asked): Promise<boolean> {
    const { epoch, applied } = this.#copy;
    const beacon = this.#beacons.fresh(this.#clock.monotonic());
    // Who answers may live in the past: a fresh beacon knows better which epoch it is, and how far it was when we asked.
    if (beacon !== undefined) {
      if (answer.epoch !== beacon.epoch) return false;
      if (answer.to < Math.min(beacon.head, asked.question.atLeast)) return false;
    }
    if (answer.mode === "delta") {
      if (asked.kind === "full" || answer.epoch !== epoch) return false;
      // Who answers lags, or the journal went back, and then a beacon says so.
      if (answer.to < asked.question.applied || "dump" in answer) return false;
      return this.#copy.advance(answer, asked.signal);
    }
    if (answer.epoch === epoch && answer.to < applied && !this.#rewound) {
      // The feed was faster than this snapshot: it has to wait for another one, or they never meet.
      if (answer.to >= asked.question.applied) this.#asker.widen();
      return false;
    }
    this.#asker.widen();
    const replaced = await this.#copy.replace(answer, asked.signal);
    if (replaced) {
      this.#head = answer.to;
      this.#rewound = false;
      this.#rewind.forget();
    }
    return replaced;
  }

  /** After an answer: what waited has its turn, and what is still missing is asked for. */
  #settle(answer: WholeAnswer, asked: Asked): void {
    const now = this.#clock.monotonic();
    const epoch = this.#copy.epoch!;
    const rewound = this.#backlog.holds(
      (entry) =>
        entry.epoch === epoch && entry.sequence <= this.#copy.applied && this.#copy.differs(entry),
    );
    this.#backlog.prune(epoch, this.#copy.applied);
    const beacon = this.#beacons.fresh(now);
    // What waits was recorded too, so the journal stood there at least.
    const known = beacon?.epoch === epoch ? beacon.head : 0;
    this.#head = Math.max(this.#head, this.#copy.applied, known, this.#backlog.highest());
    this.#drain();
    this.#rewind.know(this.#head, now);
    // An answer that knows what we knew is as good as a beacon: it was written after we asked.
    const { question } = asked;
    const comparable = question.epoch === undefined || question.epoch === epoch;
    if (!comparable || answer.to >= question.atLeast)
      this.#currentAt = Math.max(this.#currentAt ?? 0, asked.at);
    if (this.#copy.applied < this.#head) this.#awaitGap();
    this.#options.onChange?.();
    this.#resolveSynced();
    // Heard while we asked: other entries under numbers that the answer has. The journal was rewound after the answer was written.
    if (rewound) this.#goBack();
    else if (beacon !== undefined && beacon.epoch !== epoch)
      this.#resync("full", "epoch", this.#timings.jitterMs);
  }
}
