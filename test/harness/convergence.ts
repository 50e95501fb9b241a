/** How long a fleet takes until every proxy is where the journals are. */
import { ask } from "./client.ts";
import type { Gateway } from "./gateway.ts";
import type { GivenOrder } from "./ledger.ts";

/** As `/status` of a proxy says it. */
export interface JournalStatus {
  readonly state: string;
  readonly epoch?: string;
  readonly applied: number;
  readonly head: number;
  readonly stalenessMs?: number;
  readonly poisoned?: { readonly count: number; readonly error: string };
  readonly gaps: number;
  readonly resyncs: Readonly<Record<string, number>>;
}

export type JournalStatuses = Readonly<Record<string, JournalStatus>>;

/** What a proxy says of its journals. */
export async function statusOf(gateway: Gateway, proxy: string): Promise<JournalStatuses> {
  const probe = gateway.probes[gateway.names.proxies.indexOf(proxy)]!;
  const { journals } = (await ask(probe, "/status")).json();
  return journals as JournalStatuses;
}

export interface ConvergenceOptions {
  /** The end of the fault, by `performance.now()`. What a proxy knew before does not count. Default: now. */
  readonly since?: number;
  /** Default: all. */
  readonly proxies?: readonly string[];
  /** Another proxy whose link was never touched: the others have to be where it is. */
  readonly witness?: string;
  /** Default 20 000. */
  readonly withinMs?: number;
}

/**
 * Waits until all proxies have applied the head of every journal, and have learned that it is the head after the end of the fault.
 *
 * @returns time since the end of the fault, in milliseconds
 * @throws Error that shows where they stand instead
 */
export async function convergence(
  gateway: Gateway,
  options: ConvergenceOptions = {},
): Promise<number> {
  const { since = performance.now(), withinMs = 20_000, witness } = options;
  const proxies = options.proxies ?? gateway.names.proxies;
  const all = witness === undefined ? proxies : [...proxies, witness];
  for (;;) {
    let problem: string;
    try {
      const before = performance.now();
      const statuses = await Promise.all(all.map((name) => statusOf(gateway, name)));
      problem = statuses
        .flatMap((status, index) => lagging(status, all[index]!, before - since))
        .concat(disagreements(statuses))
        .join("; ");
    } catch (error) {
      problem = String(error);
    }
    const tookMs = performance.now() - since;
    if (problem === "") return tookMs;
    if (tookMs > withinMs) throw new Error(`not converged within ${withinMs} ms: ${problem}`);
    await pause(20);
  }
}

/**
 * Waits until each of these revocations is in force on each of the proxies.
 *
 * @returns time since the end of the fault, in milliseconds
 */
export async function inForce(
  gateway: Gateway,
  orders: readonly GivenOrder[],
  options: ConvergenceOptions = {},
): Promise<number> {
  const { since = performance.now(), withinMs = 20_000 } = options;
  const proxies = options.proxies ?? gateway.names.proxies;
  const isRefused = async ({ token }: GivenOrder, proxy: string) => {
    const url = gateway.urls[gateway.names.proxies.indexOf(proxy)]!;
    return (await ask(url, "/api/users/1", { token })).status === 401;
  };
  let left = orders.flatMap((order) => proxies.map((proxy) => ({ order, proxy })));
  for (;;) {
    // One at a time, the last order first: when it is there, so are those before it.
    const next = left.at(-1);
    const tookMs = performance.now() - since;
    if (next === undefined) return tookMs;
    if (await isRefused(next.order, next.proxy).catch(() => false)) {
      const refused = await Promise.all(left.map(({ order, proxy }) => isRefused(order, proxy)));
      left = left.filter((_, index) => !refused[index]);
    } else if (tookMs > withinMs) {
      const { operation } = next.order;
      throw new Error(`not in force within ${withinMs} ms on ${next.proxy}: ${operation}`);
    } else await pause(20);
  }
}

function lagging(status: JournalStatuses, name: string, agoMs: number): string[] {
  return Object.entries(status).flatMap(([journal, { state, applied, head, stalenessMs }]) => {
    const is = `${name} ${journal}: ${state} ${applied}/${head}`;
    if (state !== "live" || applied < head) return [is];
    return stalenessMs === undefined || stalenessMs > agoMs ? [`${is}, known before`] : [];
  });
}

function disagreements(statuses: readonly JournalStatuses[]): string[] {
  return Object.keys(statuses[0] ?? {}).flatMap((journal) => {
    const stands = new Set(
      statuses.map((status) => `${status[journal]!.epoch} ${status[journal]!.applied}`),
    );
    return stands.size === 1 ? [] : [`${journal}: ${[...stands].join(", ")}`];
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
