import { messageOf } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";

/** Who wants to hear of an event. One that throws is a defect: it is logged, and the others hear all the same. */
export class Listeners {
  readonly #listeners = new Set<() => void>();
  readonly #log: Log;
  readonly #event: string;

  /** @param event for the log */
  constructor(log: Log, event: string) {
    this.#log = log;
    this.#event = event;
  }

  /** Returns how to stop it. */
  add(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  tell(): void {
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#log.error({ event: this.#event, cause: messageOf(error) }, "listener threw");
      }
    }
  }
}
