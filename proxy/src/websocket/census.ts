/** A place that one WebSocket has among those that are counted. */
export interface Seat {
  /** Gives it back. Nothing happens the second time. */
  leave(): void;
}

/** How many WebSockets each holder has at the same time. */
export class Census {
  readonly #counts = new Map<string, number>();

  /** How many holders have one. */
  get size(): number {
    return this.#counts.size;
  }

  /**
   * Counts one more, under each of these names.
   *
   * @param names who holds it, with how many each may have; Infinity: any number
   * @returns undefined when one of them has as many as it may: then nobody is counted
   */
  enter(names: readonly (readonly [name: string, atMost: number])[]): Seat | undefined {
    for (const [name, atMost] of names)
      if ((this.#counts.get(name) ?? 0) >= atMost) return undefined;
    for (const [name] of names) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let seated = true;
    return {
      leave: () => {
        if (!seated) return;
        seated = false;
        for (const [name] of names) this.#leave(name);
      },
    };
  }

  #leave(name: string): void {
    const count = this.#counts.get(name)! - 1;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}
