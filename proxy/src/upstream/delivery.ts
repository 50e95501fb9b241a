import { messageOf, Refusal } from "@tocsin/shared";
import type { Clock, Log, Milliseconds } from "@tocsin/shared";
import type { Readable } from "node:stream";
import { Attempt, UploadStalled, UpstreamTimeout } from "./attempt.ts";
import type { Answer, AttemptOwner } from "./attempt.ts";
import { Deadline } from "./deadlines.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Evidence } from "./evidence.ts";
import type { UpstreamInstance } from "./instances.ts";
import type { ServicePolicy } from "@tocsin/shared/contract";
import { ConnectFailure, ConnectTimeout } from "./dial.ts";
import { isStaleConnection } from "./pools.ts";
import type { Pools } from "./pools.ts";

/** A request for a service, and what becomes known about it on the way. */
export interface Call {
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  /** The request body; undefined when the request has none. */
  readonly body: Readable | undefined;
  /** The whole body, when it was read before: it is sent instead, as often as need be. */
  readonly bytes: Uint8Array | undefined;
  /** Set to the instance that has the request. */
  instance: string | undefined;
  /** Set to when the headers of the answer came, or it was clear that none will; on the monotonic clock. */
  answeredAt: Milliseconds;
  /** Takes interim answers (RFC 9110 §15.2) on to the client. Undefined: nobody does. */
  readonly informant: { inform(status: number, headers: string[]): void } | undefined;
  /** Set to what ends the exchange with the upstream from outside. */
  delivery: { abort(reason: Error): void } | undefined;
}

/** What deliveries share. */
export interface Engine {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly pools: Pools;
  readonly log: Log;
  readonly evidence: Pick<Evidence, "answered" | "failed">;
  /** The instance whose turn it is. `tried`: keys of those that had this request already. */
  pick(policy: ServicePolicy, call: Call, tried: readonly string[]): UpstreamInstance | undefined;
}

/** Methods that may be repeated (RFC 9110 §9.2.2). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/**
 * One request on its way to a service: at one instance, and once more where that cannot have two effects.
 *
 * It is itself the wait for the whole exchange. An object with methods, not closures: there is one for every request.
 */
export class Delivery extends Deadline implements AttemptOwner {
  readonly #engine: Engine;
  readonly #call: Call;
  readonly #policy: ServicePolicy;
  readonly #headers: string[];
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  #instance: UpstreamInstance | undefined = undefined;
  #current: Attempt | undefined = undefined;
  #mayRepeat = true;

  constructor(
    engine: Engine,
    call: Call,
    policy: ServicePolicy,
    headers: string[],
    resolve: (answer: Answer) => void,
    reject: (error: Error) => void,
  ) {
    super();
    this.#engine = engine;
    this.#call = call;
    this.#policy = policy;
    this.#headers = headers;
    this.#resolve = resolve;
    this.#reject = reject;
    call.delivery = this;
    const { total } = policy.timeouts;
    if (total !== undefined) engine.deadlines.start(this, total);
  }

  attempt(instance: UpstreamInstance): void {
    const { deadlines, pools } = this.#engine;
    const { method, target } = this.#call;
    const body = this.#call.bytes ?? this.#call.body;
    const { timeouts } = this.#policy;
    this.#call.instance = instance.instance;
    this.#instance = instance;
    const attempt = new Attempt(deadlines, timeouts, method, target, this.#headers, body, this);
    this.#current = attempt;
    attempt.go(pools.of(instance));
  }

  /** Ends it from outside: nobody wants the answer any more. */
  abort(reason: Error): void {
    this.#mayRepeat = false;
    this.#current?.abort(reason);
  }

  /** The time for the whole exchange is up. */
  expire(): void {
    this.#mayRepeat = false;
    this.#current?.break(new UpstreamTimeout("total"));
  }

  answered(answer: Answer): void {
    this.#call.answeredAt = this.#engine.clock.monotonic();
    this.#engine.evidence.answered(this.#instance!);
    this.#resolve(answer);
  }

  interim(status: number, headers: string[]): void {
    this.#call.informant?.inform(status, headers);
  }

  failed(attempt: Attempt, error: Error): void {
    if (isTheirs(error)) this.#engine.evidence.failed(this.#instance!);
    const next = this.#mayRepeat ? this.#another(attempt, error) : undefined;
    if (next === undefined) {
      this.#engine.deadlines.stop(this);
      this.#call.answeredAt = this.#engine.clock.monotonic();
      this.#reject(refusalOf(error, this.#policy.service));
      return;
    }
    this.#mayRepeat = false;
    const { service, instance } = this.#instance!;
    this.#engine.log.debug(
      { service, instance, cause: messageOf(error) },
      "request is tried once more",
    );
    this.attempt(next);
  }

  over(): void {
    if (this.#policy.timeouts.total !== undefined) this.#engine.deadlines.stop(this);
  }

  /** Where the request may go once more without any risk of having two effects. */
  #another(tried: Attempt, error: Error): UpstreamInstance | undefined {
    const { method, body, bytes } = this.#call;
    if (bytes === undefined && (body?.destroyed || body?.readableDidRead)) return undefined;
    // Nothing was sent.
    if (!tried.sent && (error instanceof ConnectFailure || isConnectTimeout(error)))
      return this.#engine.pick(this.#policy, this.#call, [this.#instance!.key]);
    // The instance closed the idle connection while the request was on its way (RFC 9112 §9.3.1).
    const repeatable = body === undefined && idempotent.has(method) && !tried.answered;
    return repeatable && isStaleConnection(error)
      ? this.#engine.pick(this.#policy, this.#call, [])
      : undefined;
  }
}

/** Whether a request without an answer speaks against the instance; what the client did does not. */
function isTheirs(error: Error): boolean {
  return !(error instanceof Refusal || error instanceof UploadStalled || error.name === "Aborted");
}

function isConnectTimeout(error: Error): boolean {
  return error instanceof UpstreamTimeout && error.phase === "connect";
}

/** What the client is told about the failure of an upstream; the cause stays in the log. */
function refusalOf(error: Error, service: string): Error {
  if (error instanceof Refusal || error.name === "Aborted") return error;
  if (error instanceof UploadStalled) return new Refusal("request-timeout", { cause: error });
  const timeout = error instanceof UpstreamTimeout || error instanceof ConnectTimeout;
  const cause = new Error(`service ${service}: ${messageOf(error)}`, { cause: error });
  return new Refusal(timeout ? "upstream-timeout" : "upstream-failed", { cause });
}
