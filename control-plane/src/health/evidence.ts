/** What proxies saw of instances while they forwarded to them. */
import type { Clock, InstanceName, Milliseconds, NodeName, ServiceName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { ProxyReport } from "@tocsin/shared/contract";

/** What was seen longer ago says nothing, in milliseconds. */
const freshMs: Milliseconds = 5_000;

interface Seen {
  readonly at: Milliseconds;
  readonly answered: number;
  readonly failed: number;
}

export class Evidence {
  readonly #clock: Clock;
  /** By instance, then by proxy: what it reported last. */
  readonly #seen = new Map<string, Map<NodeName, Seen>>();
  readonly #onReport: (report: ProxyReport) => void;

  /** @param onReport hears every report whose sender is who it says */
  constructor(clock: Clock, onReport: (report: ProxyReport) => void = () => {}) {
    this.#clock = clock;
    this.#onReport = onReport;
  }

  async listen(bus: Bus): Promise<AsyncDisposable> {
    return bus.subscribe(subjects.reports, (message) => {
      const report = read(message.text());
      // The subject token is the identity.
      if (report === undefined || message.subject !== subjects.report(report.proxy)) return;
      this.#onReport(report);
      const at = this.#clock.monotonic();
      for (const { service, instance, answered, failed } of report.instances) {
        const key = `${service}.${instance}`;
        let proxies = this.#seen.get(key);
        if (proxies === undefined) this.#seen.set(key, (proxies = new Map()));
        proxies.set(report.proxy, { at, answered, failed });
      }
    });
  }

  /** A proxy that gets answers from an instance, and not mostly failures. Undefined: none that has said so lately. */
  answersTo(service: ServiceName, instance: InstanceName): NodeName | undefined {
    const proxies = this.#seen.get(`${service}.${instance}`);
    if (proxies === undefined) return undefined;
    const now = this.#clock.monotonic();
    for (const [proxy, { at, answered, failed }] of proxies) {
      if (now - at > freshMs) proxies.delete(proxy);
      else if (answered > 0 && answered >= failed) return proxy;
    }
    if (proxies.size === 0) this.#seen.delete(`${service}.${instance}`);
    return undefined;
  }
}

function read(text: string): ProxyReport | undefined {
  try {
    return ProxyReport.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
