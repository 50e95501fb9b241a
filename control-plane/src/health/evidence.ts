/** What proxies saw of instances while they forwarded to them. */
import type { Clock, InstanceName, Milliseconds, NodeName, ServiceName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { ProxyReport } from "@tocsin/shared/contract";
import type { Roster } from "./roster.ts";

/** What was seen longer ago says nothing, in milliseconds. */
const freshMs: Milliseconds = 5_000;

interface Seen {
  readonly at: Milliseconds;
  readonly answered: number;
  readonly failed: number;
}

export interface EvidenceOptions {
  readonly clock: Clock;
  readonly roster: Pick<Roster, "knows">;
  /** Hears every report whose sender is who it says. */
  readonly onReport: (report: ProxyReport) => void;
}

export class Evidence {
  readonly #options: EvidenceOptions;
  /** By instance, then by proxy: what it reported last. */
  readonly #seen = new Map<string, Map<NodeName, Seen>>();

  constructor(options: EvidenceOptions) {
    this.#options = options;
  }

  async listen(bus: Bus): Promise<AsyncDisposable> {
    const { clock, roster, onReport } = this.#options;
    const hearing = await bus.subscribe(subjects.reports, (message) => {
      const report = read(message.text());
      // The subject token is the identity.
      if (report === undefined || message.subject !== subjects.report(report.proxy)) return;
      onReport(report);
      const at = clock.monotonic();
      for (const { service, instance, answered, failed } of report.instances) {
        if (!roster.knows(service, instance)) continue;
        const key = `${service}.${instance}`;
        let proxies = this.#seen.get(key);
        if (proxies === undefined) this.#seen.set(key, (proxies = new Map()));
        proxies.set(report.proxy, { at, answered, failed });
      }
    });
    const stop = clock.every(freshMs, () => this.#tidy());
    return {
      async [Symbol.asyncDispose]() {
        stop();
        await hearing[Symbol.asyncDispose]();
      },
    };
  }

  /** A proxy that gets answers from an instance, and not mostly failures. Undefined: none that has said so lately. */
  answersTo(service: ServiceName, instance: InstanceName): NodeName | undefined {
    const proxies = this.#seen.get(`${service}.${instance}`);
    if (proxies === undefined) return undefined;
    const now = this.#options.clock.monotonic();
    for (const [proxy, { at, answered, failed }] of proxies)
      if (now - at <= freshMs && answered > 0 && answered >= failed) return proxy;
    return undefined;
  }

  /** Forgets what says nothing any more. */
  #tidy(): void {
    const now = this.#options.clock.monotonic();
    for (const [key, proxies] of this.#seen) {
      for (const [proxy, { at }] of proxies) if (now - at > freshMs) proxies.delete(proxy);
      if (proxies.size === 0) this.#seen.delete(key);
    }
  }
}

function read(text: string): ProxyReport | undefined {
  try {
    return ProxyReport.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
