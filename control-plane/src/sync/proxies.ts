import { disposable, type Clock, type Milliseconds, type NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { ProxyHeartbeat } from "@tocsin/shared/contract";

/** A proxy that was silent for so long is not waited for, in milliseconds: three heartbeats. */
export const liveForMs = 6_000;

/** A proxy that was silent for so long is forgotten, in milliseconds. */
const rememberedForMs = 600_000;

export interface HeardProxy {
  readonly heartbeat: ProxyHeartbeat;
  /** When it was last heard, by the monotonic clock. */
  readonly at: Milliseconds;
}

/** Which proxies there are, as their heartbeats tell. */
export class Proxies {
  readonly #clock: Clock;
  readonly #heard = new Map<NodeName, HeardProxy>();
  readonly #listeners = new Set<(proxy: HeardProxy) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async listen(bus: Bus): Promise<AsyncDisposable> {
    const prefix = subjects.heartbeats("proxy").slice(0, -1);
    return bus.subscribe(subjects.heartbeats("proxy"), (message) => {
      const heartbeat = read(message.text());
      // The subject token is the identity.
      if (heartbeat === undefined || message.subject !== `${prefix}${heartbeat.proxy}`) return;
      const heard = { heartbeat, at: this.#clock.monotonic() };
      this.#heard.set(heartbeat.proxy, heard);
      for (const listener of this.#listeners) listener(heard);
    });
  }

  onHeartbeat(listener: (proxy: HeardProxy) => void): AsyncDisposable {
    this.#listeners.add(listener);
    return disposable(() => void this.#listeners.delete(listener));
  }

  /** Those that are there and stay. */
  live(): HeardProxy[] {
    return [...this.#heard.values()].filter((proxy) => this.isLive(proxy.heartbeat.proxy));
  }

  isLive(name: NodeName): boolean {
    const heard = this.#heard.get(name);
    return (
      heard !== undefined &&
      heard.heartbeat.leaving !== true &&
      this.#clock.monotonic() - heard.at < liveForMs
    );
  }

  get(name: NodeName): HeardProxy | undefined {
    return this.#heard.get(name);
  }

  /** All that are remembered, those that went away too. */
  all(): HeardProxy[] {
    const now = this.#clock.monotonic();
    for (const [name, { at }] of this.#heard)
      if (now - at > rememberedForMs) this.#heard.delete(name);
    return [...this.#heard.values()];
  }
}

function read(text: string): ProxyHeartbeat | undefined {
  try {
    return ProxyHeartbeat.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
