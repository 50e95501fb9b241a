/** The workers of a node: as many as there should be, whatever happens to them. */
import { sleep, type Address, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import { journalNames } from "@tocsin/shared/journal";
import type { MetricSamples } from "@tocsin/proxy";
import type { Fork } from "./fork.ts";
import { Member } from "./member.ts";
import type { Voice } from "./voice.ts";
import type { Standings, WorkerState } from "./words.ts";

export interface CrewOptions {
  readonly size: number;
  readonly fork: Fork;
  readonly voice: Voice;
  readonly clock: Clock;
  readonly log: Log;
  /** Where all of them listen. Port 0: any free one, the same for all. */
  readonly address: Address;
  /** Where the keeper stands: what the node has vouched for is not beyond that. */
  readonly vouchedFor: () => Standings;
  /** A worker is gone: what it had counted, and whether it was told to go. */
  readonly onGone: (samples: readonly MetricSamples[], wasTold: boolean) => void;
  /** How long a worker may take to drain before it is killed. */
  readonly drainTimeoutMs: Milliseconds;
}

const callMs: Milliseconds = 1_000;
/** How often workers that are to be let in are asked how far they are. */
const waitingMs: Milliseconds = 50;
/** A worker that lived for less did not work. */
const shortLifeMs: Milliseconds = 10_000;
const restMs = { first: 100, most: 5_000 } as const;
/** How long a new worker may take until it serves, before a reload is given up. */
const replaceWithinMs: Milliseconds = 60_000;

export class Crew {
  readonly #options: CrewOptions;
  readonly #members = new Set<Member>();
  readonly #stop: (() => void)[];
  readonly #ended = new AbortController();
  readonly #listening = Promise.withResolvers<Address>();
  #address: Address;
  #bound: Address | undefined;
  #shortLives = 0;
  #reloading: Promise<void> | undefined;

  constructor(options: CrewOptions) {
    const { clock, size, address } = options;
    this.#options = options;
    this.#address = address;
    this.#stop = [
      clock.every(callMs, () => {
        for (const member of this.#members) member.call();
      }),
      clock.every(waitingMs, () => {
        for (const member of this.#members) if (!member.admitted) member.ask();
      }),
    ];
    // Nobody may be waiting for it.
    this.#listening.promise.catch(() => {});
    for (let count = 0; count < size; count += 1) this.#add();
  }

  /** Resolves when the first of them listens. Rejects when it cannot. */
  get listening(): Promise<Address> {
    return this.#listening.promise;
  }

  /** In the order in which they were started. */
  get members(): readonly Member[] {
    return [...this.#members];
  }

  /** Why requests are not let in, or not by everyone who would get them. */
  notServing(): string | undefined {
    const takers = this.members.filter(({ toldToListen, draining }) => toldToListen && !draining);
    if (!takers.some(({ listening, admitted }) => listening && admitted))
      return "no worker serves yet";
    const waiting = takers.filter(({ admitted }) => !admitted).map(({ name }) => name);
    return waiting.length === 0 ? undefined : `${waiting.join(", ")} not there yet`;
  }

  /** Replaces all of them, one after the other: each drains when the one in its place serves. One reload at a time. */
  reload(): Promise<void> {
    return (this.#reloading ??= this.#replaceAll().finally(() => {
      this.#reloading = undefined;
    }));
  }

  /** Ends all of them. Resolves when they are gone. */
  async drain(noticeMs: Milliseconds): Promise<void> {
    this.#ended.abort(new Error("the node stops"));
    await Promise.all(this.members.map((member) => this.#drain(member, noticeMs)));
    for (const stop of this.#stop.splice(0)) stop();
  }

  async #replaceAll(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#ended;
    for (const old of this.members) {
      // One that died meanwhile was replaced already, or is made up for below.
      if (signal.aborted || old.draining || !this.#members.has(old)) continue;
      const next = this.#add();
      if (!(await this.#serves(next))) {
        if (signal.aborted) return;
        log.error({ worker: next.id }, "reload given up: the new worker does not serve");
        next.kill();
        return;
      }
      log.info({ worker: next.id, instead: old.id }, "worker replaced");
      const drained = this.#drain(old, 0);
      // While there was one more than there should be, nobody took the place of one that died.
      this.#fill();
      await drained;
    }
    log.info({}, "reloaded");
  }

  async #serves(member: Member): Promise<boolean> {
    const { clock } = this.#options;
    const until = clock.monotonic() + replaceWithinMs;
    while (this.#members.has(member) && clock.monotonic() < until) {
      if (member.phase === "serving") return true;
      try {
        await sleep(clock, waitingMs, this.#ended.signal);
      } catch {
        return false;
      }
    }
    return false;
  }

  async #drain(member: Member, noticeMs: Milliseconds): Promise<void> {
    const { clock, log, drainTimeoutMs } = this.#options;
    member.drain(noticeMs);
    const knife = clock.after(drainTimeoutMs, () => {
      log.warn({ worker: member.id }, "worker does not end in time, and is killed");
      member.kill();
    });
    await member.gone;
    knife();
  }

  #add(): Member {
    const { fork, voice, clock, log } = this.#options;
    const member: Member = new Member({
      process: fork(),
      voice,
      clock,
      log,
      onState: (_, state) => this.#consider(member, state),
      onListening: (_, address) => {
        this.#bound ??= address;
        this.#listening.resolve(address);
      },
      onBroken: (_, text) => this.#listening.reject(new Error(text)),
    });
    this.#members.add(member);
    // While there is none to take requests, this one says that nobody is let in yet. The others come when they are.
    if (!this.members.some((other) => other !== member && other.toldToListen && !other.draining))
      this.#listen(member);
    void this.#untilGone(member);
    return member;
  }

  async #untilGone(member: Member): Promise<void> {
    const how = await member.gone;
    this.#members.delete(member);
    this.#options.onGone(member.samples ?? [], member.draining);
    this.#replace(member, how);
  }

  /**
   * Whether it may let requests in: when it has all that the node has said it has. First it counts, so that nothing more is said that
   * it has not applied; then it must have come as far as the node was at that moment.
   */
  #consider(member: Member, { hasSnapshot, standings }: WorkerState): void {
    if (member.admitted || member.draining || !hasSnapshot) return;
    const vouched = this.#options.vouchedFor();
    const goal = member.goal ?? member.count(standings, vouched);
    for (const journal of journalNames) {
      // Another history: numbers of the one mean nothing in the other.
      if (standings[journal].epoch !== goal[journal].epoch) goal[journal] = vouched[journal];
      const { epoch, applied } = goal[journal];
      if (epoch === undefined) continue;
      if (standings[journal].epoch !== epoch || standings[journal].applied < applied) return;
    }
    member.admit();
    this.#listen(member);
  }

  /** One is gone; another takes its place, unless it was told to go. */
  #replace(member: Member, how: number | string): void {
    const { clock, log, size } = this.#options;
    if (this.#ended.signal.aborted) return;
    if (member.draining) return;
    const livedMs = clock.monotonic() - member.startedAt;
    this.#shortLives = livedMs < shortLifeMs ? this.#shortLives + 1 : 0;
    // Nothing has worked yet, and nothing will.
    if (this.#bound === undefined && this.#shortLives > size)
      this.#listening.reject(new Error(`workers end as soon as they begin (${how})`));
    // The first one is replaced at once. One that dies again and again is not to take the machine.
    const restFor =
      this.#shortLives <= 1 ? 0 : Math.min(restMs.most, restMs.first * 2 ** (this.#shortLives - 2));
    log.error(
      { worker: member.id, pid: member.pid, how, livedMs: Math.round(livedMs), restMs: restFor },
      "worker died",
    );
    if (restFor === 0) this.#fill();
    else this.#stop.push(clock.after(restFor, () => this.#fill()));
  }

  /** Adds one where there are fewer than there should be. */
  #fill(): void {
    const here = this.members.filter(({ draining }) => !draining).length;
    if (!this.#ended.signal.aborted && here < this.#options.size) this.#add();
  }

  /** They share a socket by asking for the same address. Once all of them are gone, so is the port that stood behind port 0. */
  #listen(member: Member): void {
    if (member.toldToListen) return;
    const isShared = this.members.some(({ toldToListen }) => toldToListen);
    if (!isShared && this.#bound !== undefined) this.#address = this.#bound;
    member.listen(this.#address);
  }
}
