import type { ServicePolicy } from "@tocsin/shared/contract";
import { Attempt } from "./attempt.ts";
import type { Answer, AttemptOwner } from "./attempt.ts";
import type { Call } from "./call.ts";
import { verdictOf } from "./circuit.ts";
import type { Circuit, Era } from "./circuit.ts";
import { Deadline } from "./deadlines.ts";
import type { Engine } from "./engine.ts";
import { isTheirs } from "./failures.ts";
import type { UpstreamInstance } from "./instances.ts";

/**
 * A request at one instance after the other, and what that says about each of them: to its circuit, and to the fleet as evidence.
 *
 * Where it goes next is for who extends it.
 */
export abstract class Passage extends Deadline implements AttemptOwner {
  protected readonly engine: Engine;
  protected readonly call: Call;
  protected readonly policy: ServicePolicy;
  /** Names and values in turn. */
  protected readonly headers: string[];
  /** Who has the request, or had it last. */
  protected instance: UpstreamInstance | undefined = undefined;
  protected current: Attempt | undefined = undefined;
  /** Something of the request may have reached an instance. */
  protected sent = false;
  /** The present answer has come as a whole, or broke off. */
  protected whole = false;
  /** The time for everything is up. */
  protected late = false;
  #circuit: Circuit | undefined = undefined;
  #era: Era = 0;
  /** The failures in a row that the present answer ended, for when it breaks off; undefined: it counts as one itself, once. */
  #failuresBefore: number | undefined = 0;

  constructor(engine: Engine, call: Call, policy: ServicePolicy, headers: string[]) {
    super();
    this.engine = engine;
    this.call = call;
    this.policy = policy;
    this.headers = headers;
  }

  protected abstract onAnswer(answer: Answer): void;
  /** @param silently the instance had only closed an idle connection, and the request may be sent once more */
  protected abstract onFailure(attempt: Attempt, error: Error, silently: boolean): void;
  protected abstract maySilently(attempt: Attempt, error: Error): boolean;
  /** The present answer is over. */
  protected abstract onOver(): void;

  /** The next attempt. */
  protected attempt(instance: UpstreamInstance): void {
    const { deadlines, pools, circuits } = this.engine;
    const { circuit, timeouts } = this.policy;
    const { method, target, body, bytes, switching } = this.call;
    this.call.instance = instance.instance;
    this.instance = instance;
    if (circuit !== undefined) {
      this.#circuit = circuits.of(instance, circuit);
      this.#era = this.#circuit.enter();
    }
    const attempt = new Attempt(
      deadlines,
      timeouts,
      method,
      target,
      this.headers,
      bytes ?? body,
      switching,
      this,
    );
    this.whole = false;
    this.current = attempt;
    attempt.go(switching === undefined ? pools.of(instance) : pools.line(instance));
  }

  answered(answer: Answer): void {
    this.sent = true;
    this.engine.evidence.answered(this.instance!);
    if (this.#circuit !== undefined) this.#judge(this.#circuit, answer.status);
    this.onAnswer(answer);
  }

  interim(status: number, headers: string[]): void {
    this.call.informant?.inform(status, headers);
  }

  failed(attempt: Attempt, error: Error): void {
    if (attempt.sent) this.sent = true;
    const silently = this.maySilently(attempt, error);
    if (silently || !isTheirs(error)) this.#circuit?.withdrew(this.#era);
    else {
      this.engine.evidence.failed(this.instance!);
      this.#circuit?.failed(this.#era);
    }
    this.onFailure(attempt, error, silently);
  }

  over(attempt: Attempt, failure: Error | undefined): void {
    if (attempt !== this.current) return;
    this.whole = true;
    const before = this.#failuresBefore;
    if (failure !== undefined && before !== undefined && !this.late && isTheirs(failure))
      this.#circuit?.broke(this.#era, before);
    this.onOver();
  }

  #judge(circuit: Circuit, status: number): void {
    const verdict = verdictOf(status);
    this.#failuresBefore = verdict === "for" ? circuit.succeeded(this.#era) : 0;
    if (verdict === "against") {
      this.#failuresBefore = undefined;
      circuit.failed(this.#era);
    } else if (verdict === "neither") circuit.withdrew(this.#era);
  }
}
