/** Gives orders while something is wrong, and checks afterwards that what was acknowledged is in force and nothing is half so. */
import { randomUUID } from "node:crypto";
import { ask, type Answer } from "./client.ts";
import type { Gateway } from "./gateway.ts";
import { Ledger, type GivenOrder } from "./ledger.ts";
import { token, type TokenClaims } from "./tokens.ts";

export interface WriterOptions {
  readonly gateway: Gateway;
  /** The config in force, as a document; an edit adds routes to it. */
  readonly config: Readonly<Record<string, unknown>> & { readonly routes: readonly object[] };
  /** A token that is let in. */
  readonly good: string;
  /** What the tokens say that are taken back. */
  readonly claims?: TokenClaims;
  /** How long each order waits for the proxies. Default 300 ms. */
  readonly waitMs?: number;
}

/** What did not hold. Empty: everything did. */
export interface Findings {
  /** Acknowledged, and not in force on some proxy. */
  readonly lost: readonly string[];
  /** Not acknowledged, and in force on some proxies but not on others; or not to be had by repeating it. */
  readonly halfDone: readonly string[];
}

export class Writer implements AsyncDisposable {
  readonly ledger = new Ledger();
  readonly #options: WriterOptions;
  readonly #open = new Set<Promise<unknown>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Routes that were acknowledged: every later edit holds them too. */
  readonly #routes: object[] = [];
  #editing: Promise<unknown> = Promise.resolve();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Revokes a token that was never used before. Resolves with what became of it, never rejects. */
  async revoke(waitMs = this.#options.waitMs ?? 300, node = 0): Promise<GivenOrder> {
    const order = this.ledger.give({
      kind: "revocation",
      operation: randomUUID(),
      token: await token({ subject: "mallory", ...this.#options.claims }),
      path: "",
    });
    return this.#keep(this.#send(order, () => this.#revocation(order, waitMs, node)));
  }

  /** Adds a route to the config. Edits follow each other, because each holds the ones before. */
  edit(waitMs = this.#options.waitMs ?? 300, node = 0): Promise<GivenOrder> {
    const edited = this.#editing.then(async () => {
      // Of this writer alone, so that no edit finds itself applied already.
      const id = `edit-${randomUUID()}`;
      const route = { id, match: { path: `/api/${id}/*` }, service: "users", auth: "required" };
      const order = this.ledger.give({
        kind: "edit",
        operation: id,
        token: "",
        path: `/api/${id}/1`,
      });
      const { config, gateway } = this.#options;
      const document = { ...config, routes: [...config.routes, ...this.#routes, route] };
      await this.#send(order, () =>
        gateway.admin("PUT", `/v1/config?wait=${waitMs}ms`, document, node),
      );
      if (order.outcome === "acknowledged") this.#routes.push(route);
      return order;
    });
    this.#editing = edited;
    return this.#keep(edited);
  }

  /** Goes on giving orders until {@link stop}. An order that takes its time keeps no other one back. */
  every(intervalMs: number, give: () => Promise<unknown>): void {
    this.#timers.add(setInterval(() => void give(), intervalMs));
  }

  /** Gives no more orders; resolves when all are answered. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    await Promise.all(this.#open);
  }

  /** Looks at every order on each of the proxies; for a fleet that has converged. */
  async findings(
    proxies: readonly string[] = this.#options.gateway.names.proxies,
  ): Promise<Findings> {
    const lost: string[] = [];
    const halfDone: string[] = [];
    for (const order of this.ledger.of("acknowledged")) {
      const inForce = await this.#inForce(order, proxies);
      for (const [index, is] of inForce.entries())
        if (!is) lost.push(`${describe(order)} on ${proxies[index]}`);
    }
    for (const order of this.ledger.of("refused")) {
      const inForce = await this.#inForce(order, proxies);
      // An edit that was not acknowledged was replaced by the next one.
      if (new Set(inForce).size > 1) halfDone.push(`${describe(order)}: ${inForce.join()}`);
      if (order.kind === "edit") continue;
      const again = await this.#revocation(order, 2_000, 0);
      const then = await this.#inForce(order, proxies);
      if (again.status !== 200 || then.includes(false))
        halfDone.push(`${describe(order)}, repeated: ${again.status}, ${then.join()}`);
    }
    return { lost, halfDone };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #revocation(order: GivenOrder, waitMs: number, node: number): Promise<Answer> {
    const body = { token: order.token, operation: order.operation };
    return this.#options.gateway.admin("POST", `/v1/revocations?wait=${waitMs}ms`, body, node);
  }

  async #send(order: GivenOrder, send: () => Promise<Answer>): Promise<GivenOrder> {
    const { proxies } = this.#options.gateway.names;
    try {
      const { status, text } = await send();
      this.ledger.answered(order, status, text, proxies);
    } catch (error) {
      this.ledger.answered(order, 0, String(error), proxies);
    }
    return order;
  }

  async #keep<T>(work: Promise<T>): Promise<T> {
    this.#open.add(work);
    try {
      return await work;
    } finally {
      this.#open.delete(work);
    }
  }

  /** Of each proxy. */
  async #inForce(order: GivenOrder, proxies: readonly string[]): Promise<boolean[]> {
    const { gateway, good } = this.#options;
    return Promise.all(
      proxies.map(async (name) => {
        const url = gateway.urls[gateway.names.proxies.indexOf(name)]!;
        if (order.kind === "revocation")
          return (await ask(url, "/api/users/1", { token: order.token })).status === 401;
        return (await ask(url, order.path, { token: good })).status === 200;
      }),
    );
  }
}

function describe({ kind, operation, status, text }: GivenOrder): string {
  return `${kind} ${operation} (${status} ${text.slice(0, 200)})`;
}
