import { once } from "@tocsin/shared";
import type { Bus, Message } from "@tocsin/shared/bus";

interface Shared {
  readonly listeners: Set<(message: Message) => void>;
  readonly subscription: Promise<AsyncDisposable>;
}

/** What several processes of a node hear alike comes over the network once. */
export class SharedSubscriptions {
  readonly #bus: Bus;
  readonly #bySubject = new Map<string, Shared>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** As {@link Bus.subscribe}, without queues. */
  async subscribe(
    subject: string,
    onMessage: (message: Message) => void,
  ): Promise<AsyncDisposable> {
    const shared = this.#bySubject.get(subject) ?? this.#begin(subject);
    const listener = (message: Message) => onMessage(message);
    shared.listeners.add(listener);
    const leave = async () => {
      shared.listeners.delete(listener);
      if (shared.listeners.size > 0) return;
      if (this.#bySubject.get(subject) === shared) this.#bySubject.delete(subject);
      await (await shared.subscription)[Symbol.asyncDispose]();
    };
    try {
      await shared.subscription;
    } catch (error) {
      shared.listeners.delete(listener);
      throw error;
    }
    return { [Symbol.asyncDispose]: once(leave) };
  }

  #begin(subject: string): Shared {
    const listeners = new Set<(message: Message) => void>();
    const subscription = this.#bus.subscribe(subject, (message) => {
      for (const listener of listeners) listener(message);
    });
    const shared = { listeners, subscription };
    this.#bySubject.set(subject, shared);
    subscription.catch(() => {
      if (this.#bySubject.get(subject) === shared) this.#bySubject.delete(subject);
    });
    return shared;
  }
}
