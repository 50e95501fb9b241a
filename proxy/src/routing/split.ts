import type { Random } from "@tocsin/shared";
import type { ServicePolicy } from "@tocsin/shared/contract";

/** What a draw goes by. */
export interface Lots {
  readonly random: Random;
  /** Whether a service has an instance in rotation. */
  readonly isUsable: (service: string) => boolean;
}

/** Always the first share; for who only wants to know the route. */
export const noLots: Lots = { random: () => 0, isUsable: () => true };

interface Share {
  readonly upstream: ServicePolicy;
  readonly weight: number;
}

/**
 * Splits the requests of a route between services in fixed proportions (canary).
 *
 * A service without any instance in rotation is not drawn while another has one: a canary that died costs nothing.
 */
export class Split {
  readonly #shares: readonly Share[];
  readonly #total: number;
  readonly #lots: Lots;

  /** @param weights by service; those of 0 get nothing */
  constructor(
    weights: Readonly<Record<string, number>>,
    policyOf: (service: string) => ServicePolicy,
    lots: Lots,
  ) {
    this.#shares = Object.entries(weights)
      .filter(([, weight]) => weight > 0)
      .map(([service, weight]) => ({ upstream: policyOf(service), weight }));
    this.#total = totalOf(this.#shares);
    this.#lots = lots;
  }

  /** The service of the next request. */
  draw(): ServicePolicy {
    const { random, isUsable } = this.#lots;
    const drawn = drawnFrom(this.#shares, random() * this.#total);
    if (isUsable(drawn.service)) return drawn;
    const usable = this.#shares.filter(({ upstream }) => isUsable(upstream.service));
    return usable.length === 0 ? drawn : drawnFrom(usable, random() * totalOf(usable));
  }
}

function totalOf(shares: readonly Share[]): number {
  return shares.reduce((sum, { weight }) => sum + weight, 0);
}

function drawnFrom(shares: readonly Share[], point: number): ServicePolicy {
  let left = point;
  for (const { upstream, weight } of shares) {
    if (left < weight) return upstream;
    left -= weight;
  }
  return shares.at(-1)!.upstream;
}
