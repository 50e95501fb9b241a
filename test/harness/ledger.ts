/** What was ordered while something was wrong, what was answered, and what every proxy therefore owes. */

/** How an order ended. `refused`: no 2xx, so nobody may rely on it, and it may be repeated. */
export type Outcome = "open" | "acknowledged" | "refused";

export interface GivenOrder {
  readonly kind: "revocation" | "edit";
  /** Repeating the order with it has one effect. */
  readonly operation: string;
  /** Of a revocation: the token that is taken back. */
  readonly token: string;
  /** Of an edit: a path that is served with it and not without. */
  readonly path: string;
  /** By `performance.now()`, as every time here. */
  readonly givenAt: number;
  answeredAt: number;
  outcome: Outcome;
  /** 0: there was no answer. */
  status: number;
  /** The answer, or why there was none. */
  text: string;
  /** Proxies that have it in force, by the proof in the answer. */
  proven: ReadonlySet<string>;
}

export class Ledger {
  readonly orders: GivenOrder[] = [];
  /** When the whole fleet was known to have everything that had been acknowledged. */
  settledAt = -Infinity;

  give(order: Pick<GivenOrder, "kind" | "operation" | "token" | "path">): GivenOrder {
    const given: GivenOrder = {
      ...order,
      givenAt: performance.now(),
      answeredAt: Infinity,
      outcome: "open",
      status: 0,
      text: "",
      proven: new Set(),
    };
    this.orders.push(given);
    return given;
  }

  /** @param proxies names of the whole fleet */
  answered(order: GivenOrder, status: number, text: string, proxies: readonly string[]): void {
    order.answeredAt = performance.now();
    order.status = status;
    order.text = text;
    order.outcome = status >= 200 && status < 300 ? "acknowledged" : "refused";
    if (order.outcome === "acknowledged") order.proven = provenBy(text, proxies);
  }

  of(outcome: Outcome, kind?: GivenOrder["kind"]): GivenOrder[] {
    return this.orders.filter(
      (order) => order.outcome === outcome && (kind === undefined || order.kind === kind),
    );
  }
}

interface Proof {
  readonly applied: {
    readonly count: number;
    readonly slowest?: string;
    readonly missing: readonly { readonly proxy: string }[];
  };
}

/**
 * Who has an order in force, as far as its answer proves it. A proxy that was silent for long is not counted on, and stands neither
 * among those that have it nor among the missing: of such a fleet only the slowest is known by name.
 */
function provenBy(text: string, proxies: readonly string[]): Set<string> {
  const { count, slowest, missing } = (JSON.parse(text) as Proof).applied;
  if (count + missing.length < proxies.length)
    return new Set(slowest === undefined ? [] : [slowest]);
  const absent = new Set(missing.map(({ proxy }) => proxy));
  return new Set(proxies.filter((proxy) => !absent.has(proxy)));
}
