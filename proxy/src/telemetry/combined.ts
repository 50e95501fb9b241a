import { Registry } from "@prometheus-io/client";
import type { MetricSamples } from "./exposition.ts";

/** The metrics of several processes that are one proxy. What a process has counted stays counted when it is gone. */
export class CombinedMetrics {
  #gone: Promise<readonly MetricSamples[]> = Promise.resolve([]);

  /** A process is over: what it counted is kept, what it was at that moment is not. */
  keep(last: readonly MetricSamples[]): void {
    const counted = last.filter(({ type }) => type === "counter" || type === "histogram");
    this.#gone = this.#gone.then(
      async (before) =>
        (await aggregate([before, counted]).getMetricsAsJSON()) as readonly MetricSamples[],
    );
  }

  /** @param processes the numbers of each that runs */
  async scrape(
    processes: readonly (readonly MetricSamples[])[],
  ): Promise<{ readonly text: string; readonly type: string }> {
    const registry = aggregate([...processes, await this.#gone]);
    return { text: await registry.metrics(), type: registry.contentType };
  }
}

function aggregate(all: readonly (readonly MetricSamples[])[]): Registry {
  return Registry.aggregate(all as unknown as MetricSamples[][]);
}
