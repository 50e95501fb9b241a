/** How numbers that are kept by ourselves are shown to the registry. */
import type { Metric, Registry } from "@prometheus-io/client";
import { bucketBounds } from "./series.ts";
import type { Histogram, Labels } from "./series.ts";

/** One metric with its values, as it travels between processes. */
export interface MetricSamples {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  /** How the values of several processes become one. */
  readonly aggregator: Aggregator;
  readonly values: readonly Sample[];
}

type Aggregator = "sum" | "min" | "max" | "first";

/** What is no sum when several processes are one proxy: the one that is furthest behind speaks for all. */
const aggregators: Readonly<Record<string, Aggregator>> = {
  tocsin_replica_state: "max",
  tocsin_replica_applied: "min",
  tocsin_replica_head: "max",
  tocsin_replica_staleness_seconds: "max",
  tocsin_instance_healthy: "min",
  tocsin_circuit_state: "max",
};

export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

/** Shows numbers that are kept here (series.ts) to the registry when it is asked. */
export function expose(
  registry: Registry,
  name: string,
  type: "counter" | "gauge" | "histogram",
  help: string,
  values: () => Sample[],
): void {
  const aggregator = aggregators[name] ?? "sum";
  const metric = {
    name,
    help,
    type,
    aggregator,
    get: async () => ({ name, help, type, aggregator, values: values() }),
  };
  registry.registerMetric(metric as unknown as Metric<string>);
}

export function buckets(name: string, histogram: Histogram, labels: Labels): Sample[] {
  let sum = 0;
  const samples: Sample[] = bucketBounds.map((bound, index) => {
    sum += histogram.counts[index]!;
    return { metricName: `${name}_bucket`, value: sum, labels: { ...labels, le: bound } };
  });
  const { count } = histogram;
  samples.push({ metricName: `${name}_bucket`, value: count, labels: { ...labels, le: "+Inf" } });
  samples.push({ metricName: `${name}_sum`, value: histogram.sumSeconds, labels });
  samples.push({ metricName: `${name}_count`, value: count, labels });
  return samples;
}
