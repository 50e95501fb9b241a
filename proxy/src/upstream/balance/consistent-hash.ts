import type { UpstreamInstance } from "../instances.ts";
import { mayHave } from "./balance.ts";
import type { Balance, Choice } from "./balance.ts";
import { hash } from "./hash.ts";

/** Points on the ring for each unit of weight, when there is room; more points, more even shares. */
const pointsPerWeight = 160;
/** Points of all instances together; with more instances or greater weights each gets fewer. */
const pointsAtMost = 65_536;

/**
 * The same key goes to the same instance, on every proxy, as long as that one is there; when it goes, its keys alone go elsewhere,
 * and when it comes back they do too (Karger et al., 1997).
 *
 * The ring is made of what the instances are called, not of which life they are in: a restart moves no key.
 */
export class ConsistentHash implements Balance {
  #known: readonly UpstreamInstance[] | undefined = undefined;
  #points: Uint32Array = new Uint32Array(0);
  /** Which instance each point belongs to. */
  #owners: Uint32Array = new Uint32Array(0);

  pick(instances: readonly UpstreamInstance[], choice: Choice): UpstreamInstance | undefined {
    if (instances !== this.#known) this.#learn(instances);
    const points = this.#points;
    if (points.length === 0) return undefined;
    const start = firstFrom(points, hash(choice.key ?? ""));
    const all = choice.tried.length === 0 && choice.lets === undefined;
    for (let step = 0; step < points.length; step += 1) {
      // The ones that may not have it are passed over clockwise, so its keys spread over all others.
      const instance = instances[this.#owners[(start + step) % points.length]!]!;
      if (all || mayHave(choice, instance)) return instance;
    }
    return undefined;
  }

  #learn(instances: readonly UpstreamInstance[]): void {
    this.#known = instances;
    const weights = instances.reduce((sum, { weight }) => sum + weight, 0);
    const each = Math.min(pointsPerWeight, pointsAtMost / Math.max(1, weights));
    const ring: { readonly point: number; readonly owner: number }[] = [];
    for (const [owner, { instance, weight }] of instances.entries()) {
      const count = Math.max(1, Math.round(each * weight));
      for (let copy = 0; copy < count; copy += 1)
        ring.push({ point: hash(`${instance}#${copy}`), owner });
    }
    // Where two fall on one point their names decide, so that every proxy decides alike.
    ring.sort(
      (a, b) =>
        a.point - b.point || (instances[a.owner]!.instance < instances[b.owner]!.instance ? -1 : 1),
    );
    this.#points = Uint32Array.from(ring, ({ point }) => point);
    this.#owners = Uint32Array.from(ring, ({ owner }) => owner);
  }
}

/** The first point that is not before a place; behind the last one the ring begins anew. */
function firstFrom(points: Uint32Array, place: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]! < place) low = middle + 1;
    else high = middle;
  }
  return low === points.length ? 0 : low;
}
