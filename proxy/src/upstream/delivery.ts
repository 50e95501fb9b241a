import { messageOf } from "@tocsin/shared";
import type { Milliseconds } from "@tocsin/shared";
import type { RetryPolicy, ServicePolicy } from "@tocsin/shared/contract";
import type { Readable } from "node:stream";
import { UpstreamTimeout } from "./attempt.ts";
import type { Answer, Attempt } from "./attempt.ts";
import { isWhole } from "./call.ts";
import type { Call } from "./call.ts";
import { discard } from "./discard.ts";
import type { Engine } from "./engine.ts";
import { hadNoAnswer, refusalOf, unavailable } from "./failures.ts";
import { KeptBody } from "./kept-body.ts";
import type { KeptBodyOwner } from "./kept-body.ts";
import { Passage } from "./passage.ts";
import { isStaleConnection } from "./pools.ts";
import { Retrial } from "./retrial.ts";
import type { RetrialOwner } from "./retrial.ts";
import type { RetryOutcome } from "./retries.ts";
import { backoffMs, causeOf, isRepeatable, mayRetry, retryAfterMs, valueOf } from "./retry.ts";
import type { RetryCause } from "./retry.ts";

export type { Call } from "./call.ts";
export type { Engine } from "./engine.ts";

const none: readonly string[] = [];

/**
 * One request on its way to a service: at one instance, and again where its policy says so and that cannot have two effects; then
 * at the service that stands in for it.
 *
 * It is itself the wait for the whole exchange. An object with methods, not closures: there is one for every request.
 */
export class Delivery extends Passage implements KeptBodyOwner, RetrialOwner {
  readonly #fallback: ServicePolicy | undefined;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  /** Attempts so far, without the silent one. */
  #attempts = 0;
  /** Set when it is tried again. */
  #retrial: Retrial | undefined = undefined;
  /** It was silently sent once more. */
  #repeated = false;
  #delivered = false;
  /** The client is gone. */
  #gone = false;
  /** Set when the body is kept. */
  #kept: KeptBody | undefined = undefined;

  /** @param fallback the service that stands in when this one has no answer */
  constructor(
    engine: Engine,
    call: Call,
    policy: ServicePolicy,
    fallback: ServicePolicy | undefined,
    headers: string[],
    resolve: (answer: Answer) => void,
    reject: (error: Error) => void,
  ) {
    super(engine, call, policy, headers);
    this.#fallback = fallback;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Sends the request to the instance whose turn it is. */
  begin(): void {
    const { body, bytes } = this.call;
    const { service, timeouts, retry } = this.policy;
    this.call.delivery = this;
    if (timeouts.total !== undefined) this.engine.deadlines.start(this, timeouts.total);
    if (retry !== undefined) this.engine.retries.of(service).budget.requested();
    if (body !== undefined && bytes === undefined && this.#keeps(body)) return;
    this.#first();
  }

  // ---- from outside

  /** Nobody wants the answer any more. */
  abort(reason: Error): void {
    if (this.#gone) return;
    this.#gone = true;
    if (!this.#stopsWaiting(reason)) this.current?.abort(reason);
  }

  /** The time for the whole exchange is up. */
  expire(): void {
    this.late = true;
    const timeout = new UpstreamTimeout("total");
    if (!this.#stopsWaiting(timeout)) this.current?.break(timeout);
  }

  bodyKept(bytes: Uint8Array): void {
    this.call.bytes = bytes;
    this.#first();
  }

  bodyBroke(error: Error): void {
    this.#fail(error);
  }

  // ---- an attempt

  protected onAnswer(answer: Answer): void {
    const { status, headers } = answer;
    const { retry } = this.policy;
    const cause = status as RetryCause;
    const listed = status >= 400 && retry?.on.includes(cause) === true;
    if (this.#attempts > 1) this.#count(listed ? "failed" : "answered");
    if (listed && this.#mayRetry(cause)) {
      const asked = retryAfterMs(headers, this.engine.clock);
      // Longer than any wait of ours is for the client to know.
      const waitMs = asked ?? this.#backoff(retry);
      if ((asked === undefined || asked <= retry.backoff.max) && this.#retryIn(waitMs, answer))
        return;
    }
    this.#deliver(answer);
  }

  protected onFailure(attempt: Attempt, error: Error, silently: boolean): void {
    if (silently) return this.#repeat(error);
    if (this.#attempts > 1) this.#count(this.#gone ? "aborted" : "failed");
    const cause = this.#gone || this.late ? undefined : causeOf(attempt, error);
    if (cause !== undefined && this.#mayRetry(cause)) {
      const { retry } = this.policy;
      if (this.#retryIn(retry === undefined ? 0 : this.#backoff(retry), error)) return;
    }
    this.#fail(error);
  }

  protected onOver(): void {
    if (this.#delivered) this.#stop();
  }

  #first(): void {
    const instance = this.engine.pick(this.policy, this.call, none);
    if (instance === undefined)
      return this.#fail(unavailable(this.engine.secondsUntil(this.policy)));
    this.#attempts = 1;
    this.attempt(instance);
  }

  // ---- again

  /** The instance closed an idle connection while the request was on its way (RFC 9112 §9.3.1): that is nobody's failure. */
  protected maySilently(attempt: Attempt, error: Error): boolean {
    if (this.#repeated || this.#gone || this.late) return false;
    if (attempt.answered || !isStaleConnection(error)) return false;
    return this.#isRepeatable() && isWhole(this.call, this.sent);
  }

  #repeat(error: Error): void {
    this.#repeated = true;
    const next = this.engine.pick(this.policy, this.call, none);
    if (next === undefined) return this.#fail(error);
    this.#note(error);
    this.attempt(next);
  }

  #mayRetry(cause: RetryCause): boolean {
    if (!isWhole(this.call, this.sent)) return false;
    return mayRetry(this.policy, cause, this.#attempts, this.call.method, this.headers);
  }

  /** @param held what the client gets when that comes to nothing @returns false: there is no time for it, or too many do it */
  #retryIn(waitMs: Milliseconds, held: Answer | Error): boolean {
    const { retry, service, timeouts } = this.policy;
    const { clock } = this.engine;
    if (timeouts.total !== undefined && clock.monotonic() + waitMs >= this.at) return false;
    if (retry !== undefined && !this.engine.retries.of(service).budget.take(retry.budget)) {
      this.#count("over-budget");
      return false;
    }
    this.#retrial ??= new Retrial(clock, this);
    this.#retrial.wait(waitMs, this.instance!.key, held);
    return true;
  }

  again(held: Answer | Error): void {
    const { tried } = this.#retrial!;
    const another = this.engine.pick(this.policy, this.call, tried);
    // The same one again only when there is no other, and where a policy asks for it.
    const next =
      this.policy.retry === undefined
        ? another !== undefined && !tried.includes(another.key)
          ? another
          : undefined
        : (another ?? this.engine.pick(this.policy, this.call, none));
    if (next === undefined) return held instanceof Error ? this.#fail(held) : this.#deliver(held);
    this.#note(held);
    this.#attempts += 1;
    this.attempt(next);
    // Behind the attempt: from now on this is another one's answer.
    if (!(held instanceof Error) && held.body !== undefined) discard(held.body, this.engine.clock);
  }

  #backoff(retry: RetryPolicy): Milliseconds {
    return backoffMs(retry, this.#attempts - 1, this.engine.random);
  }

  #isRepeatable(): boolean {
    return isRepeatable(this.call.method, this.headers, this.policy.retry);
  }

  /** Begins to keep the body, where it may have to be sent again and is small enough. */
  #keeps(body: Readable): boolean {
    if (this.policy.retry === undefined && this.#fallback === undefined) return false;
    if (!this.#isRepeatable()) return false;
    const length = valueOf(this.headers, "content-length");
    const { memory } = this.engine;
    if (length === undefined || !memory.take(Number(length))) return false;
    this.#kept = new KeptBody(body, Number(length), memory, this);
    return true;
  }

  // ---- the end

  /** @returns whether it was a wait of its own that ends with this */
  #stopsWaiting(reason: Error): boolean {
    if (this.#kept?.stop() !== true && this.#retrial?.stop(reason) !== true) return false;
    this.#fail(reason);
    return true;
  }

  #deliver(answer: Answer): void {
    this.#delivered = true;
    this.call.answeredAt = this.engine.clock.monotonic();
    this.#kept?.release();
    if (this.whole) this.#stop();
    this.#resolve(answer);
  }

  #fail(error: Error): void {
    this.#stop();
    this.call.answeredAt = this.engine.clock.monotonic();
    const failure = refusalOf(error, this.policy.service);
    if (this.#fallback === undefined || !this.#mayFallBack(failure)) {
      this.#kept?.release();
      return this.#reject(failure);
    }
    this.#note(failure, "request goes to the service that stands in");
    this.call.service = this.#fallback.service;
    const successor = new Delivery(
      this.engine,
      this.call,
      this.#fallback,
      undefined,
      this.headers,
      this.#resolve,
      this.#reject,
    );
    successor.#kept = this.#kept;
    successor.begin();
  }

  /** Two services must not both do what may be done once. */
  #mayFallBack(failure: Error): boolean {
    if (this.#gone || this.#kept?.torn === true) return false;
    if (!hadNoAnswer(failure) || !isWhole(this.call, this.sent)) return false;
    return !this.sent || this.#isRepeatable();
  }

  #stop(): void {
    this.engine.deadlines.stop(this);
  }

  #count(outcome: RetryOutcome): void {
    this.engine.retries.of(this.policy.service).counts[outcome] += 1;
  }

  #note(reason: Answer | Error, message = "request is tried once more"): void {
    const cause = reason instanceof Error ? messageOf(reason) : `status ${reason.status}`;
    const { service } = this.policy;
    this.engine.log.debug({ service, instance: this.call.instance, cause }, message);
  }
}
