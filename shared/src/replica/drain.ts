import type { Backlog } from "./backlog.ts";
import type { Copy } from "./copy.ts";
import type { Slices } from "./slices.ts";

export interface DrainOptions<Change> {
  readonly backlog: Backlog;
  readonly copy: Copy<Change>;
  readonly slices: Slices;
  /** Whether what waits may be applied; asked again after each pause. */
  readonly open: () => boolean;
  /** Some of it was applied after a pause. */
  readonly onMore: () => void;
}

/** Applies what was waiting and has its turn, a slice at a time. */
export class Drain<Change> {
  readonly #options: DrainOptions<Change>;
  /** There is more, and others have their turn first. */
  #pausing = false;

  constructor(options: DrainOptions<Change>) {
    this.#options = options;
  }

  run(): void {
    const { backlog, copy, slices } = this.#options;
    if (backlog.size === 0 || this.#pausing) return;
    const end = slices.end();
    for (;;) {
      const entry = backlog.next(copy.epoch!, copy.applied);
      if (entry === undefined) return;
      copy.apply(entry);
      if (slices.over(end)) return void this.#goOn();
    }
  }

  async #goOn(): Promise<void> {
    const { slices, open, onMore } = this.#options;
    this.#pausing = true;
    await slices.pause();
    this.#pausing = false;
    if (!open()) return;
    this.run();
    onMore();
  }
}
