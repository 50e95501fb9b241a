import type { Clock } from "@tocsin/shared";
import { journalNames } from "@tocsin/shared/journal";
import { Gauge, Histogram, Registry as Metrics } from "@prometheus-io/client";
import type { Audit } from "./audit/audit.ts";
import type { Prober } from "./health/prober.ts";
import type { Leader } from "./leader/leader.ts";
import type { Registry } from "./registry/registry.ts";
import type { Orders } from "./sync/orders.ts";
import type { Proxies } from "./sync/proxies.ts";
import type { State } from "./sync/state.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly audit: Audit;
  readonly state: State;
  readonly orders: Orders;
  readonly proxies: Proxies;
  readonly registry: Registry;
  readonly leader: Pick<Leader, "leading" | "term">;
  readonly prober: Pick<Prober, "watched" | "held">;
  readonly clock: Clock;
}

/** Upper bounds in seconds: from a memory journal to the 15 s after which a write fails. */
const appendBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 15];

/** Upper bounds in seconds: from one process to a proxy whose acknowledgement was lost, and beyond. */
const propagationBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60,
];

/** The metrics of a control-plane node, most of them read at each scrape. */
export function createMetrics({
  version,
  audit,
  state,
  orders,
  proxies,
  registry,
  leader,
  prober,
}: MetricsOptions): () => Promise<{ text: string; type: string }> {
  const metrics = new Metrics();
  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect: (gauge: Gauge<Label>) => void,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [metrics],
      collect() {
        this.reset();
        collect(this);
      },
    });
  gauge("tocsin_build_info", "Which version runs. Always 1.", ["version", "node_version"], (each) =>
    each.set({ version, node_version: process.version }, 1),
  );
  gauge("tocsin_proxies_live", "Proxies heard in the last 6 s.", [], (each) =>
    each.set(proxies.live().length),
  );
  gauge("tocsin_probed_instances", "Instances that this node looks after.", [], (each) =>
    each.set(prober.watched),
  );
  gauge(
    "tocsin_held_instances",
    "Instances that this node does not reach and others do: they stay in the rotation.",
    [],
    (each) => each.set(prober.held),
  );
  gauge("tocsin_leader", "1 on the node that leads, as far as it can know.", [], (each) =>
    each.set(leader.leading ? 1 : 0),
  );
  gauge("tocsin_leader_term", "Term of the leader that the catalogue tells of.", [], (each) =>
    each.set(leader.term),
  );
  gauge("tocsin_leases", "Leases of instances that registered.", [], (each) =>
    each.set(registry.leases.size),
  );
  gauge("tocsin_replica_applied", "Last sequence applied.", ["journal"], (each) => {
    for (const journal of journalNames)
      each.set({ journal }, state.replica(journal).status().applied);
  });
  gauge("tocsin_replica_head", "Highest head heard of.", ["journal"], (each) => {
    for (const journal of journalNames) each.set({ journal }, state.replica(journal).status().head);
  });
  gauge(
    "tocsin_replica_staleness_seconds",
    "Time since this node last knew that it was current.",
    ["journal"],
    (each) => {
      for (const journal of journalNames) {
        const { stalenessMs } = state.replica(journal).status();
        if (stalenessMs !== undefined) each.set({ journal }, stalenessMs / 1000);
      }
    },
  );
  gauge("tocsin_replica_resyncs_total", "Resyncs by reason.", ["journal", "reason"], (each) => {
    for (const journal of journalNames) {
      for (const [reason, count] of Object.entries(state.replica(journal).status().resyncs))
        each.set({ journal, reason }, count);
    }
  });
  gauge("tocsin_audit_calls_total", "Calls in the audit, by outcome.", ["outcome"], (each) => {
    for (const [outcome, count] of audit.counts) each.set({ outcome }, count);
  });
  gauge("tocsin_audit_waiting", "Audit records that are not durable yet.", [], (each) =>
    each.set(audit.waiting),
  );
  gauge(
    "tocsin_audit_failures_total",
    "How often the store did not take an audit record; it is in the log, and tried again.",
    [],
    (each) => each.set(audit.failures),
  );
  const appends = new Histogram({
    name: "tocsin_append_seconds",
    help: "Time until the store confirmed or refused an entry.",
    labelNames: ["journal", "outcome"],
    buckets: appendBuckets,
    registers: [metrics],
  });
  state.onAppend(({ journal, outcome, tookMs }) =>
    appends.observe({ journal, outcome }, tookMs / 1000),
  );
  const propagation = new Histogram({
    name: "tocsin_propagation_seconds",
    help: "From an order to the proof that a proxy has applied it, by the clock of this node.",
    labelNames: ["journal"],
    buckets: propagationBuckets,
    registers: [metrics],
  });
  orders.onApplied(({ journal, afterMs }) => propagation.observe({ journal }, afterMs / 1000));
  return async () => ({ text: await metrics.metrics(), type: metrics.contentType });
}
