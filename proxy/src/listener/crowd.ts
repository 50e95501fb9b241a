import { addressGroup } from "@tocsin/shared/contract";

/** How many connections each client address holds. */
export class Crowd {
  readonly #counts = new Map<string, number>();

  /** One more. @returns how many it holds then */
  enter(address: string): number {
    const group = addressGroup(address);
    const count = (this.#counts.get(group) ?? 0) + 1;
    this.#counts.set(group, count);
    return count;
  }

  leave(address: string): void {
    const group = addressGroup(address);
    const count = (this.#counts.get(group) ?? 0) - 1;
    if (count > 0) this.#counts.set(group, count);
    else this.#counts.delete(group);
  }
}
