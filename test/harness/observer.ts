/**
 * Clients that go on while something is wrong: 50 requests per second, each proxy in turn, over new connections and kept ones, each
 * answer written down with what the one who asked was entitled to when the request began.
 */
import { Agent } from "node:http";
import { ask } from "./client.ts";
import type { Gateway } from "./gateway.ts";
import type { GivenOrder, Ledger } from "./ledger.ts";

export interface ObserverOptions {
  readonly gateway: Gateway;
  /** Tells which tokens were taken back, and since when nobody may let them in. */
  readonly ledger: Ledger;
  /** A token that is let in. */
  readonly good: string;
  /** One that nobody ever issued. */
  readonly stranger: string;
  /** Names of the proxies that are asked. Default: all. */
  readonly proxies?: readonly string[];
  /** Default 50. */
  readonly perSecond?: number;
  /** How old the revocations may be on the strict route. Default 2 000 ms. */
  readonly strictStalenessMs?: number;
  /** How much longer than that a revocation may have no effect: what the network adds. Default 100 ms. */
  readonly slackMs?: number;
}

export type Who = "good" | "stranger" | "revoked";

export interface Observation {
  /** When the request began, by `performance.now()`. */
  readonly at: number;
  readonly tookMs: number;
  readonly proxy: string;
  readonly route: "users" | "strict";
  readonly kept: boolean;
  readonly who: Who;
  /** Of `revoked`: the order. */
  readonly order?: GivenOrder;
  /** Why it may not be let in, as far as it was certain when the request began. */
  readonly refuse: string | undefined;
  /** 0: no answer. */
  readonly status: number;
  /** Of a refusal. */
  readonly code: string | undefined;
  readonly error: string | undefined;
  /** It was known that this proxy could not answer. */
  readonly excused: boolean;
}

export interface Report {
  readonly requests: number;
  /** Anything but the expected. */
  readonly failed: readonly Observation[];
  /**
   * Let in without permission: a 2xx for a token that was never allowed, or whose revocation was certain when the request began:
   * acknowledged by this very proxy, or by the fleet before it had converged, or on the strict route older than its bound.
   */
  readonly letIn: readonly Observation[];
  /** 503 `stale-state` on the strict route: expected where the proxy cannot know. */
  readonly stale: readonly Observation[];
}

const shapes: readonly (readonly [Who, "users" | "strict"])[] = [
  ["good", "users"],
  ["revoked", "users"],
  ["good", "strict"],
  ["revoked", "strict"],
  ["stranger", "users"],
];

export class Observer implements AsyncDisposable {
  readonly observations: Observation[] = [];
  readonly #options: ObserverOptions;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 16 });
  readonly #open = new Set<Promise<void>>();
  readonly #excuses = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #startedAt = performance.now();
  readonly #proxies: readonly string[];
  #sent = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    const { perSecond = 50 } = options;
    this.#proxies = options.proxies ?? options.gateway.names.proxies;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#startedAt) / 1_000) * perSecond;
      while (this.#sent < due) this.#send(this.#sent++);
    }, 1_000 / perSecond);
  }

  /**
   * From now on it is no failure that this proxy gives no answer, or says that it serves nothing; who is let in is looked at all the
   * same. Ends with the function that is returned.
   */
  excuse(proxy: string): () => void {
    this.#excuses.add(proxy);
    return () => void this.#excuses.delete(proxy);
  }

  /** Sends no more; resolves when everything is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  report(): Report {
    const { observations } = this;
    return {
      requests: observations.length,
      letIn: observations.filter(({ status, refuse }) => isGood(status) && refuse !== undefined),
      failed: observations.filter((seen) => !seen.excused && !isExpected(seen)),
      stale: observations.filter(isStale),
    };
  }

  /** @throws Error that shows what was not as expected */
  assertClean(): Report {
    const report = this.report();
    const { letIn, failed, requests } = report;
    if (requests === 0) throw new Error("nothing was observed");
    if (letIn.length === 0 && failed.length === 0) return report;
    const show = (seen: Observation) => `  ${describe(seen, this.#startedAt)}`;
    throw new Error(
      [
        `let in without permission: ${letIn.length} of ${requests}`,
        ...letIn.slice(0, 10).map(show),
        `failed: ${failed.length} of ${requests}`,
        ...failed.slice(0, 10).map(show),
        ...(failed.length > 10 ? ["  …", ...failed.slice(-3).map(show)] : []),
      ].join("\n"),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #send(turn: number): void {
    const { length } = this.#proxies;
    const round = Math.floor(turn / length);
    const proxy = this.#proxies[turn % length]!;
    const [wanted, route] = shapes[round % shapes.length]!;
    const order = wanted === "revoked" ? this.#some(round) : undefined;
    const who = wanted === "revoked" && order === undefined ? "good" : wanted;
    const kept = Math.floor(round / shapes.length) % 2 === 1;
    const sent = this.#observe({
      at: performance.now(),
      proxy,
      route,
      kept,
      who,
      ...(order === undefined ? {} : { order }),
      refuse: this.#mustRefuse(who, order, proxy, route),
    }).finally(() => this.#open.delete(sent));
    this.#open.add(sent);
  }

  /** Among the tokens that were to be taken back, the last one and any one in turn. */
  #some(round: number): GivenOrder | undefined {
    const orders = this.#options.ledger.orders.filter(({ kind }) => kind === "revocation");
    if (orders.length === 0) return undefined;
    const turn = Math.floor(round / shapes.length);
    return turn % 2 === 0 ? orders.at(-1) : orders[turn % orders.length];
  }

  #mustRefuse(
    who: Who,
    order: GivenOrder | undefined,
    proxy: string,
    route: "users" | "strict",
  ): string | undefined {
    if (who === "stranger") return "nobody issued it";
    if (order === undefined || order.outcome !== "acknowledged") return undefined;
    const { ledger, strictStalenessMs = 2_000, slackMs = 100 } = this.#options;
    if (order.proven.has(proxy)) return "the proxy has acknowledged it";
    if (order.answeredAt <= ledger.settledAt) return "the fleet had converged";
    const age = performance.now() - order.answeredAt;
    if (route === "strict" && age > strictStalenessMs + slackMs)
      return `acknowledged ${Math.round(age)} ms before`;
    return undefined;
  }

  async #observe(
    sent: Pick<Observation, "at" | "proxy" | "route" | "kept" | "who" | "order" | "refuse">,
  ): Promise<void> {
    const { gateway, good, stranger } = this.#options;
    const excusedBefore = this.#excuses.has(sent.proxy);
    let status = 0;
    let code: string | undefined;
    let error: string | undefined;
    try {
      const answer = await ask(
        gateway.urls[gateway.names.proxies.indexOf(sent.proxy)]!,
        `/api/${sent.route}/1`,
        {
          token: sent.order?.token ?? (sent.who === "stranger" ? stranger : good),
          timeoutMs: 120_000,
          ...(sent.kept ? { agent: this.#agent } : {}),
        },
      );
      status = answer.status;
      if (status >= 400) code = codeOf(answer.text);
    } catch (cause) {
      error = String(cause);
    }
    const excused =
      (excusedBefore || this.#excuses.has(sent.proxy)) &&
      (status === 0 || code === "service-unavailable");
    const tookMs = performance.now() - sent.at;
    this.observations.push({ ...sent, tookMs, status, code, error, excused });
  }
}

const isGood = (status: number) => status >= 200 && status < 300;

const isStale = ({ route, status, code }: Observation) =>
  route === "strict" && status === 503 && code === "stale-state";

function isExpected(seen: Observation): boolean {
  const { who, status, refuse } = seen;
  if (isStale(seen)) return true;
  switch (who) {
    case "good":
      return status === 200;
    case "stranger":
      return status === 401;
    case "revoked":
      // While the order is under way both answers are right.
      return status === 401 || (status === 200 && refuse === undefined);
    default:
      return who satisfies never;
  }
}

function codeOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { code?: string }).code;
  } catch {
    return undefined;
  }
}

function describe(seen: Observation, startedAt: number): string {
  const { at, tookMs, proxy, route, kept, who, refuse, status, code, error } = seen;
  return [
    `${Math.round(at - startedAt)} ms`,
    `${who} at ${proxy}/${route}, ${kept ? "kept" : "new"} connection:`,
    `${status || (error ?? "")}${code === undefined ? "" : ` ${code}`} after ${Math.round(tookMs)} ms`,
    refuse === undefined ? "" : `(${refuse})`,
  ].join(" ");
}
