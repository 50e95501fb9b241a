/** One worker as its primary sees it. */
import type { Address, Clock, Log, Milliseconds } from "@tocsin/shared";
import type { MetricSamples } from "@tocsin/proxy";
import { hostBus } from "./bus-host.ts";
import type { WorkerProcess } from "./fork.ts";
import type { Voice } from "./voice.ts";
import type { Standings, ToPrimary, WorkerState } from "./words.ts";

/** How a worker that begins may take before it answers for the first time, in seconds: the state of a big fleet is read from disk. */
const firstAnswerSeconds = 60;
/** A worker that does not answer for so long is taken for frozen, in seconds. */
const answerSeconds = 5;
/** How long an answer to a question may take, in milliseconds. */
const tellMs: Milliseconds = 1_000;

export interface MemberOptions {
  readonly process: WorkerProcess;
  readonly voice: Voice;
  readonly clock: Clock;
  readonly log: Log;
  readonly onState: (member: Member, state: WorkerState) => void;
  readonly onListening: (member: Member, address: Address) => void;
  readonly onBroken: (member: Member, text: string) => void;
}

/** Where a worker must stand to be let in. */
export type Goal = { -readonly [journal in keyof Standings]: Standings[journal] };

export class Member {
  /** Counts up, from 1. */
  readonly id: number;
  readonly pid: number;
  /** How the node's voice names it. */
  readonly name: string;
  readonly startedAt: Milliseconds;
  /** Resolves when it is gone and nothing of it is left, with how it ended. */
  readonly gone: Promise<number | string>;
  /** How far the node was when this worker began to count; undefined: it does not count yet. */
  goal: Goal | undefined;
  readonly #options: MemberOptions;
  readonly #questions = new Map<number, (told: unknown) => void>();
  #asked = 0;
  #unanswered = 0;
  #answered = false;
  #toldToListen = false;
  #listening = false;
  #admitted = false;
  #draining = false;
  #state: WorkerState | undefined;
  #samples: readonly MetricSamples[] | undefined;

  constructor(options: MemberOptions) {
    const { process, voice, clock, log } = options;
    this.#options = options;
    this.id = process.id;
    this.pid = process.pid;
    this.name = `worker-${process.id}`;
    this.startedAt = clock.monotonic();
    const stopHearing = process.line.onWord((word) => this.#hear(word));
    const host = hostBus(voice.workerBus(this.name), process.line, log);
    this.gone = process.gone.then(async (how) => {
      stopHearing();
      voice.leave(this.name);
      for (const answer of this.#questions.values()) answer(undefined);
      await host[Symbol.asyncDispose]();
      return how;
    });
    process.line.say({ kind: "ping" });
  }

  /** It has all that the node has vouched for, and lets requests in. */
  get admitted(): boolean {
    return this.#admitted;
  }
  get listening(): boolean {
    return this.#listening;
  }
  /** Told to listen, and maybe not there yet. */
  get toldToListen(): boolean {
    return this.#toldToListen;
  }
  get draining(): boolean {
    return this.#draining;
  }
  /** What it told last about itself. */
  get state(): WorkerState | undefined {
    return this.#state;
  }
  /** What it had counted when it was asked last. */
  get samples(): readonly MetricSamples[] | undefined {
    return this.#samples;
  }
  /** In one word. */
  get phase(): "starting" | "waiting" | "serving" | "draining" | "mute" {
    if (this.#unanswered > 1) return "mute";
    if (this.#draining) return "draining";
    if (this.#admitted && this.#listening) return "serving";
    return this.#state?.hasSnapshot === true ? "waiting" : "starting";
  }

  /** Once a second. Kills a worker that is frozen; by the count of unanswered calls, for the clock goes on when all of them are stopped. */
  call(): void {
    this.#unanswered += 1;
    if (this.#unanswered > (this.#answered ? answerSeconds : firstAnswerSeconds)) {
      const { log, process } = this.#options;
      log.error({ worker: this.id, pid: this.pid }, "worker does not answer, and is killed");
      return process.kill();
    }
    this.ask();
  }

  /** Asks how it is. */
  ask(): void {
    this.#options.process.line.say({ kind: "ping" });
  }

  listen(address: Address): void {
    this.#toldToListen = true;
    this.#options.process.line.say({ kind: "listen", address });
  }

  /** From now on the node says of nothing that it is applied before this worker has. @returns what it must have to be let in */
  count(standings: Standings, vouchedFor: Standings): Goal {
    this.#options.voice.join(this.name, standings);
    return (this.goal = { ...vouchedFor });
  }

  /** It lets requests in from now on. */
  admit(): void {
    this.#admitted = true;
    this.#options.process.line.say({ kind: "admit" });
  }

  drain(noticeMs: Milliseconds): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#options.process.line.say({ kind: "drain", noticeMs });
  }

  kill(): void {
    this.#options.process.kill();
  }

  /** What it tells about itself; undefined when it does not answer in time. */
  tell(what: "samples" | "status"): Promise<unknown> {
    const { clock, process } = this.#options;
    const id = ++this.#asked;
    return new Promise((resolve) => {
      const answer = (told: unknown) => {
        cancel();
        this.#questions.delete(id);
        resolve(told);
      };
      const cancel = clock.after(tellMs, () => answer(undefined));
      this.#questions.set(id, answer);
      if (!process.line.say({ kind: "tell", id, what })) answer(undefined);
    });
  }

  /** What it has counted; when it is mute, what it had when it was asked before. */
  async counted(): Promise<readonly MetricSamples[]> {
    const told = (await this.tell("samples")) as readonly MetricSamples[] | undefined;
    if (told !== undefined) this.#samples = told;
    return this.#samples ?? [];
  }

  #hear(word: ToPrimary): void {
    const { process, voice, onState, onListening, onBroken } = this.#options;
    switch (word.kind) {
      case "pong":
        this.#unanswered = 0;
        this.#answered = true;
        this.#state = word.state;
        voice.stands(this.name, word.state.standings);
        return onState(this, word.state);
      case "listening":
        this.#listening = true;
        return onListening(this, word.address);
      case "broken":
        return onBroken(this, word.text);
      case "told":
        return this.#questions.get(word.id)?.(word.told);
      case "over":
        this.#samples = word.samples;
        return process.dismiss();
      default:
        // The rest is the bus's.
        return undefined;
    }
  }
}
